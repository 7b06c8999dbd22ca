// The memory of a data plane in user space, which ends with the agent: with the input of the last run, the next run
// moves packets before its datastore has answered.
import type { DataPlane, DataPlaneInput } from './backend.ts';
import type { BackendConfig } from './network-config.ts';

/** Everything that opens a data plane again. */
export interface DataPlaneRecord {
  readonly backend: BackendConfig;
  readonly input: DataPlaneInput;
}

export interface DataPlaneMemory {
  /** The data plane that was opened by the record of the last run; the node disposes of it. Undefined: none was. */
  readonly resumed: (DataPlaneRecord & { readonly dataPlane: DataPlane }) | undefined;
  /** Replaces the record, with the present time; undefined removes it. Fails as `host`. */
  write(record: DataPlaneRecord | undefined): Promise<void>;
}
