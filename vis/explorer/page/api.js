// Requests to the server that has sent this page, with the token of its run.

const KEY = "vis-token";
let token = "";
/** The end of each address: the token, where the browser does not keep it. */
export let end = "";

/** Take the token out of the address, so that it is not copied with it. */
export function enter() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  let kept = parent === window;  // a frame of another site keeps no cookie, and other tabs need the token
  try {
    if (given) sessionStorage.setItem(KEY, given);
    token = sessionStorage.getItem(KEY) ?? "";
  } catch {
    kept = false;
    token = given;
  }
  if (!kept && token) end = `#token=${token}`;
  if (given) history.replaceState(null, "", location.pathname + location.search + end);
  // For other tabs.
  return token ? ask("enter", {}).catch(() => {}) : Promise.resolve();
}

async function answered(answer) {
  if (answer.ok) return answer;
  const text = await answer.text();
  let told = {};
  try { told = JSON.parse(text); } catch { told = { error: text }; }
  throw new Error(told.error ?? "This request was refused.");
}

async function sent(path, options) {
  try {
    return await answered(await fetch(`/api/${path}`, { ...options, headers: { "X-Vis-Token": token } }));
  } catch (error) {
    if (error instanceof TypeError) throw new Error("The explorer does not answer. See the terminal or notebook where it was started.");
    throw error;
  }
}

export const look = async (path) => (await sent(path, {})).json();
export const blob = async (path) => (await sent(path, {})).blob();
export const ask = async (path, body) => (await sent(path, { method: "POST", body: JSON.stringify(body) })).json();
export const upload = async (given, data) => (await sent(`add?${new URLSearchParams(given)}`, { method: "POST", body: data })).json();

/** Return what the server computes; `told` is called with how far it is. An aborted request ends on the server, too. */
export async function compute(path, body, { signal, told } = {}) {
  const answer = await sent(path, { method: "POST", body: JSON.stringify(body), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The explorer has ended. See the terminal or notebook where it was started.");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const news = JSON.parse(line);
      if ("answer" in news) return news.answer;
      if ("error" in news) throw new Error(news.error);
      if ("dropped" in news) throw new DOMException("A newer request followed.", "AbortError");
      told?.(news);
    }
  }
}
