/** The bundle and the tests' set-up give such a file's bytes as its default export. */
declare module '*.binpb' {
  const bytes: Uint8Array;

  export = bytes;
}
