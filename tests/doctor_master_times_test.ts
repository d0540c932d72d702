import assert from "node:assert/strict";
import { examineHost, withPatient } from "./doctor_setup.ts";

Deno.test("doctor tells how long the master's certificate is valid as it tells all other times", () =>
  withPatient(async (setup) => {
    const { state, saw } = (await examineHost(setup)).of("master-tls");
    assert.equal(state, "ok", saw);
    assert.match(saw, /, valid to \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ;/);
  }));
