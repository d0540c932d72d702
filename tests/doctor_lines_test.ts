import assert from "node:assert/strict";
import { lineOf, service } from "./doctor_fault.ts";
import { examineHost, unitFile, withPatient } from "./doctor_setup.ts";

const files = { [unitFile]: "[Service]\nUser=decnet-agent\n" };

Deno.test("doctor has root change a state of the service's user as that user", () =>
  withPatient(async (setup) => {
    setup.engine.containers = [];
    const mendFor = async (uid: number) => {
      return (await examineHost(setup, { files, uid })).of("drift").mend;
    };
    const line = lineOf(setup, "apply", "--stored");
    assert.equal(await mendFor(0), line);
    await Deno.chown(setup.path, service, service);
    assert.equal(await mendFor(0), `runuser -u decnet-agent -- ${line}`);
    await Deno.chmod(setup.engine.socketPath, 0o666);
    await Deno.chown(setup.storePath, service, service);
    assert.equal(await mendFor(service), line);
  }));
