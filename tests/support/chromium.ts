import { type Requirement, requirement } from "./requirements.ts";

const program = "/usr/bin/chromium";
const patienceMs = 30_000;

/** Asks for the browser of Debian's package `chromium`. */
export function needsChromium(): Requirement {
  return requirement(`Chromium at ${program}`, exists(program));
}

/** How the one page of a browser is looked at. */
export interface View {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
  /** Whether what is wider than a phone's page counts, and fingers point. */
  readonly mobile?: boolean;
}

/** A real browser without a window, which is told what to do over the DevTools protocol. */
export class Chromium implements AsyncDisposable {
  /** What it has complained about: the content policy, errors of scripts, what could not be loaded. */
  readonly complaints: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #replies = new Map<number, PromiseWithResolvers<unknown>>();
  #socket: WebSocket | null = null;
  #calls = 0;

  private constructor(process: Deno.ChildProcess, profile: string) {
    this.#process = process;
    this.#profile = profile;
  }

  /** Starts it with an empty page. Throws `Error` when it does not come up. */
  static async start(): Promise<Chromium> {
    const profile = await Deno.makeTempDir({ prefix: "decnet-chromium-" });
    const process = new Deno.Command(program, {
      args: [
        ...["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        ...["--no-first-run", "--disable-background-networking", "--hide-scrollbars"],
        ...["--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"],
      ],
      env: { HOME: profile },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const browser = new Chromium(process, profile);
    try {
      await browser.#connect();
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Sets how the page is looked at. */
  async look({ width, height, scheme, mobile = false }: View): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile };
    await this.#call("Emulation.setDeviceMetricsOverride", metrics);
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.#call("Emulation.setEmulatedMedia", { features });
  }

  /** Opens an address, with or without scripts in the page; resolves before it is loaded. */
  async open(url: string, { scripts = true } = {}): Promise<void> {
    await this.#call("Emulation.setScriptExecutionDisabled", { value: !scripts });
    await this.#call("Page.navigate", { url });
  }

  /** The page's source as it stands now. */
  async source(): Promise<string> {
    const { root } = await this.#call("DOM.getDocument") as { root: { nodeId: number } };
    const { nodeId } = root;
    const { outerHTML } = await this.#call("DOM.getOuterHTML", { nodeId }) as { outerHTML: string };
    return outerHTML;
  }

  /** The value of an expression in the page. Throws `Error` when the page throws. */
  async evaluate(expression: string): Promise<unknown> {
    const options = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.#call("Runtime.evaluate", options) as {
      result: { value?: unknown };
      exceptionDetails?: { text: string };
    };
    if (exceptionDetails) {
      throw new Error(`Cannot evaluate ${expression}: ${exceptionDetails.text}`);
    }
    return result.value;
  }

  /** Waits until the page's source satisfies a condition; answers the milliseconds it took. */
  async until(condition: (source: string) => boolean): Promise<number> {
    const startedAt = performance.now();
    for (;;) {
      // While a page is being replaced there is no document.
      const source = await this.source().catch(() => "");
      const elapsedMs = performance.now() - startedAt;
      if (condition(source)) return elapsedMs;
      if (elapsedMs > patienceMs) throw new Error(`In vain waited for ${condition}: ${source}`);
      await pause();
    }
  }

  /** A picture of what is seen, as PNG. */
  async picture(): Promise<Uint8Array<ArrayBuffer>> {
    const { data } = await this.#call("Page.captureScreenshot", { format: "png" }) as {
      data: string;
    };
    return Uint8Array.fromBase64(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    if (this.#socket && this.#socket.readyState !== WebSocket.CLOSED) {
      this.#socket.onclose = () => resolve();
      await this.#call("Browser.close").catch(() => {});
    } else {
      this.#process.kill("SIGKILL");
      resolve();
    }
    await this.#process.status;
    await closed;
    // Its last children may still be writing there.
    for (let tries = 0; exists(this.#profile) && tries < 100; tries++) {
      await Deno.remove(this.#profile, { recursive: true }).catch(pause);
    }
  }

  async #connect(): Promise<void> {
    const startedAt = performance.now();
    let port = "";
    while (!port.includes("\n")) {
      if (performance.now() - startedAt > patienceMs) throw new Error("Chromium does not come up");
      await pause();
      port = await Deno.readTextFile(`${this.#profile}/DevToolsActivePort`).catch(() => "");
    }
    const list = await fetch(`http://127.0.0.1:${port.split("\n")[0]}/json/list`);
    const targets = await list.json() as { type: string; webSocketDebuggerUrl: string }[];
    const target = targets.find(({ type }) => type === "page");
    if (!target) throw new Error("Chromium has no page");
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("Chromium does not talk"));
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    await promise;
    this.#socket = socket;
    for (const domain of ["Page", "DOM", "Log", "Runtime"]) await this.#call(`${domain}.enable`);
  }

  #call(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const id = ++this.#calls;
    const reply = Promise.withResolvers<unknown>();
    this.#replies.set(id, reply);
    this.#socket!.send(JSON.stringify({ id, method, params }));
    return reply.promise;
  }

  #receive({ id, result, error, method, params }: Message): void {
    if (method === "Log.entryAdded") this.complaints.push(params.entry?.text ?? "");
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params));
    if (id === undefined) return;
    const reply = this.#replies.get(id);
    this.#replies.delete(id);
    if (error) reply?.reject(new Error(`Chromium refuses: ${error.message}`));
    else reply?.resolve(result);
  }
}

interface Message {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly method?: string;
  readonly params: { readonly entry?: { readonly text: string } };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}
