import { ContainerNames, serviceSubject } from "./container_names.ts";
import type { Decky, Topology } from "../document.ts";
import { LanAddresses } from "./lan_addresses.ts";
import { checkImage, checkName } from "./name.ts";
import { excerpt, named, type Problem } from "./problem.ts";

/** Checks the deckies' names, services, images and addresses, and each against the others. */
export function checkDeckies({ lans, deckies }: Topology): Problem[] {
  const containerNames = new ContainerNames();
  const lanAddresses = new LanAddresses(lans);
  return deckies.flatMap((decky, index) => [
    ...checkNames(decky, index),
    ...containerNames.take(decky, index),
    ...lanAddresses.take(decky, index),
    ...checkImages(decky, index),
  ]);
}

function checkNames(decky: Decky, index: number): Problem[] {
  return [
    ...checkName(decky.name, named(decky.name, `deckies[${index}].name`)),
    ...decky.services.flatMap((service, at) => {
      const place = `deckies[${index}].services[${at}]`;
      return checkName(service, serviceSubject(decky, service, { place }));
    }),
  ];
}

function checkImages(decky: Decky, index: number): Problem[] {
  // The image of a service that the decky does not have is never used, so it is never wrong.
  return [...new Set(decky.services)].flatMap((service) => {
    const image = decky.imageByService.get(service);
    if (image === undefined) return [];
    const place = `deckies[${index}].decky_config.service_config.${excerpt(service)}.image`;
    return checkImage(image, serviceSubject(decky, service, { place }));
  });
}
