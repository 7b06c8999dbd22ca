// The package declares no types for this file of its own, which is all that the agent loads of it.
declare module 'prom-client/lib/registry.js' {
  import { Registry } from 'prom-client';

  export = Registry;
}
