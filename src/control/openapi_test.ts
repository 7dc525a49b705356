import assert from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { openApi } from "./openapi.ts";
import { API_PREFIX } from "./handle.ts";
import { ServedVm } from "./testing.ts";

interface Content {
  readonly schema?: { readonly $ref?: string };
}
interface Operation {
  readonly operationId: string;
  readonly responses: Record<string, { readonly content: Record<string, Content> }>;
}

/** The document as clients get it. */
async function served(vm: ServedVm): Promise<Record<string, unknown>> {
  return await (await request(vm, "GET", "/openapi.json")).json();
}

async function request(vm: ServedVm, method: string, path: string, body?: string) {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: vm.socket } });
  const response = await fetch(`http://localhost${API_PREFIX}${path}`, { client, method, body });
  const text = path === "/events" ? "" : await response.text();
  if (path === "/events") await response.body?.cancel();
  return {
    status: response.status,
    type: response.headers.get("content-type") ?? "",
    text,
    json: () => JSON.parse(text),
  };
}

Deno.test("the document is OpenAPI 3.1, and what is served is what is made", async () => {
  await using vm = await ServedVm.start();
  const document = await served(vm);
  assert.deepEqual(document, JSON.parse(JSON.stringify(openApi())));
  const { valid, errors } = await new Validator().validate(document);
  assert.ok(valid, JSON.stringify(errors));
});

Deno.test("every operation answers as the document says", async () => {
  await using vm = await ServedVm.start();
  const document = await served(vm);
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ ...document, $id: "api" });
  const paths = document.paths as Record<string, Record<string, Operation>>;
  const checked: string[] = [];
  const check = async (method: string, path: string, call: string, body?: string) => {
    const operation = paths[path][method.toLowerCase()];
    const { status, type, text } = await request(vm, method, call, body);
    const content = operation.responses[status]?.content[type];
    assert.ok(content !== undefined, `${operation.operationId} answers ${status} as ${type}`);
    const reference = content.schema?.$ref;
    if (reference !== undefined && path !== "/events") {
      const validate = ajv.compile({ $ref: `api${reference}` });
      assert.ok(validate(JSON.parse(text)), `${text}: ${JSON.stringify(validate.errors)}`);
    }
    checked.push(`${operation.operationId} ${status}`);
  };
  for (const [path, operations] of Object.entries(paths)) {
    if ("get" in operations) await check("GET", path, path.replace("{name}", "disk0"));
  }
  await check("GET", "/devices/{name}", "/devices/none");
  const restart = "/devices/{name}/restart";
  await check("POST", restart, "/devices/disk0/restart", '{"waitMs":100}');
  await check("POST", restart, "/devices/none/restart");
  await check("POST", "/vm/snapshot", "/vm/snapshot", '{"dir":"/tmp/x"}');
  await check("POST", "/vm/snapshot", "/vm/snapshot", '{"dir":"x"}');
  await check("POST", "/vm/pause", "/vm/pause");
  await check("POST", "/vm/reset", "/vm/reset");
  await check("POST", "/vm/snapshot", "/vm/snapshot", '{"dir":"/tmp/x"}');
  await check("POST", "/vm/resume", "/vm/resume");
  await check("POST", "/vm/reset", "/vm/reset");
  vm.vm.obedient = false;
  await check("POST", "/vm/power-button", "/vm/power-button");
  await check("POST", "/vm/stop", "/vm/stop", '{"force":true}');
  const all = Object.values(paths).flatMap((operations) =>
    Object.values(operations).map(({ operationId }) => operationId)
  );
  assert.deepEqual(
    all.filter((id) => !checked.includes(`${id} 200`)),
    [],
    "operations without a good answer",
  );
  assert.ok(checked.includes("reset 409") && checked.includes("device 404"));
});
