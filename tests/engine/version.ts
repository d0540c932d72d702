import { maximumApiMinor } from "./reply.ts";

/** The body of `GET /version`. */
export const version = {
  Platform: { Name: "" },
  Components: [{
    Name: "Engine",
    Version: "20.10.24",
    Details: { ApiVersion: `1.${maximumApiMinor}`, MinAPIVersion: "1.12", Os: "linux" },
  }],
  Version: "20.10.24",
  ApiVersion: `1.${maximumApiMinor}`,
  MinAPIVersion: "1.12",
  GitCommit: "5d6db84",
  GoVersion: "go1.19.8",
  Os: "linux",
  Arch: "amd64",
  KernelVersion: "6.1.0",
  BuildTime: "2023-04-04T00:00:00.000000000+00:00",
};
