// No part can be matched in two ways, so that the time is linear.
const registryLabel = "[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*";
// Docker takes a first component without a dot or a port for a part of the path.
const registry = `(?:(?:localhost|${registryLabel}(?:\\.${registryLabel})+)(?::\\d+)?|` +
  `${registryLabel}:\\d+)`;
const pathComponent = "[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*";
const digest = "sha256:[0-9a-f]{64}";
const imagePattern = new RegExp(
  `^(?:(?:${registry}/)?${pathComponent}(?:/${pathComponent})*` +
    `(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@${digest})?|${digest})$`,
);

/** Whether Docker takes `text` for the reference of an image; at most 255 characters. */
export function isImageReference(text: string): boolean {
  return text.length <= 255 && imagePattern.test(text);
}
