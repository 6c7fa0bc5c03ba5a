import { createFileRegistry, type DescFile, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import descriptorSet from '../gen/descriptor.binpb';

/** Serialized FileDescriptorProtos, the file asked for first, then all that it imports. */
export interface DescriptorIndex {
  fileByName(name: string): readonly Uint8Array[] | null;
  /** A message, enum, service or method by its full name. */
  fileOfSymbol(symbol: string): readonly Uint8Array[] | null;
}

/** Reads the embedded set. Only reflection needs it, so it is loaded with the first question. */
export const descriptorIndex = (): DescriptorIndex => {
  index ??= createIndex(descriptorSet);
  return index;
};

let index: DescriptorIndex | null = null;

const createIndex = (bytes: Uint8Array): DescriptorIndex => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  const closure = (file: DescFile, seen = new Set<DescFile>()): Set<DescFile> => {
    if (seen.has(file)) return seen;
    seen.add(file);
    for (const dependency of file.dependencies) closure(dependency, seen);
    return seen;
  };
  const serialized = (file: DescFile | undefined) =>
    file === undefined
      ? null
      : [...closure(file)].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));

  const declaring = (symbol: string): DescFile | undefined => {
    const service = symbol.slice(0, symbol.lastIndexOf('.'));
    const method = symbol.slice(service.length + 1);
    return (
      registry.get(symbol)?.file ??
      (registry.getService(service)?.methods.some(({ name }) => name === method)
        ? registry.getService(service)?.file
        : undefined)
    );
  };
  return {
    fileByName: (name) => serialized([...registry.files].find(({ proto }) => proto.name === name)),
    fileOfSymbol: (symbol) => serialized(declaring(symbol)),
  };
};
