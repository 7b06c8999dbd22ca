// The list of the parts of the container image, in the form of CycloneDX. npm lists its packages by itself, and dpkg
// those of Debian. A scanner of whole images, such as syft, finds no npm package in a bundle.

/** A script that prints the release of Node.js, and a line for each package of Debian. */
export const LIST_PARTS =
  "node --version; dpkg-query --show --showformat='${Package}\\t${Version}\\t${Architecture}\\n'";

/** Packages that the bundle or the tree has, beside the dependencies that package.json names. */
const FURTHER = ['dgram-native', 'koffi', 'node-gyp-build'];
/** The machine code of koffi, of one architecture. */
const MACHINE_CODE = '@koromix/';

/** @typedef {{ readonly name: string, readonly version: string, readonly architecture: string }} DebianPackage */
/** @typedef {{ readonly 'bom-ref': string, readonly name: string }} Component */
/**
 * @typedef {{
 *   readonly ref: string,
 *   readonly dependsOn: readonly string[],
 * }} Dependency
 */
/**
 * @typedef {{
 *   readonly metadata: { readonly component: Component },
 *   readonly components: readonly Component[],
 *   readonly dependencies: readonly Dependency[],
 * }} NpmSbom
 */

/**
 * @param {string} listing The output of that script.
 * @returns {{ readonly node: string, readonly packages: readonly DebianPackage[] }}
 */
export function parseParts(listing) {
  const [node = '', ...lines] = listing.trim().split('\n');
  const packages = lines.map((line) => {
    const [name = '', version = '', architecture = ''] = line.split('\t');
    return { name, version, architecture };
  });
  return { node, packages };
}

/**
 * @param {{
 *   readonly npm: NpmSbom,
 *   readonly dependencies: readonly string[],
 *   readonly packages: readonly DebianPackage[],
 *   readonly node: string,
 *   readonly image: string,
 *   readonly created: string,
 * }} parts `npm`: what `npm sbom` prints. `dependencies`: those of package.json. `node`: as `node --version` prints it.
 */
export function formatSbom({ npm, dependencies, packages, node, image, created }) {
  const names = [...dependencies, ...FURTHER];
  const ofNpm = npm.components.filter(({ name }) => names.includes(name) || name.startsWith(MACHINE_CODE));
  const version = node.replace(/^v/, '');
  const nodePurl = `pkg:generic/node@${version}`;
  const others = [
    { 'bom-ref': nodePurl, type: 'application', name: 'node', version, purl: nodePurl },
    ...packages.map((each) => {
      const purl = `pkg:deb/debian/${each.name}@${encodeURIComponent(each.version)}?arch=${each.architecture}`;
      return { 'bom-ref': purl, type: 'library', name: each.name, version: each.version, purl };
    }),
  ];
  const top = npm.metadata.component['bom-ref'];
  const refs = new Set([top, ...ofNpm.map((component) => component['bom-ref'])]);
  const known = npm.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => refs.has(each)) }));
  // The serial number and the time of npm differ in each run.
  const sbom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      timestamp: created,
      component: { ...npm.metadata.component, type: 'container', name: image },
    },
    components: [...ofNpm, ...others],
    dependencies: known,
  };
  return `${JSON.stringify(sbom, undefined, 2)}\n`;
}
