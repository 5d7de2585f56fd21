// Calls of the server. A refusal is a Refusal with `errors`: [{field, message}].

const hash = new URLSearchParams(location.hash.slice(1));
if (hash.has("token")) {
  sessionStorage.setItem("token", hash.get("token"));
  history.replaceState(null, "", location.pathname);
}
const client = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());

export class Refusal extends Error {
  constructor(status, errors) {
    super(errors.map((one) => one.message).join(" "));
    this.status = status;
    this.errors = errors;
  }
}

function headers(more) {
  const token = sessionStorage.getItem("token");
  return { "x-mien-client": client, ...(token ? { authorization: `Bearer ${token}` } : {}), ...more };
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Refusal(0, [{ field: "", message: "The server does not answer: is it still running?" }]);
  }
  if (answer.ok) return answer;
  let errors;
  try {
    errors = (await answer.json()).errors;
  } catch {
    errors = [{ field: "", message: `The server answered ${answer.status}.` }];
  }
  throw new Refusal(answer.status, errors);
}

export async function get(path) {
  return (await call(path, { headers: headers() })).json();
}

export async function getPicture(path) {
  return URL.createObjectURL(await (await call(path, { headers: headers() })).blob());
}

function posted(body, signal, accept) {
  return { method: "POST", body: JSON.stringify(body), signal, headers: headers({ "content-type": "application/json", accept }) };
}

export async function post(path, body, signal) {
  return (await call(path, posted(body, signal, "application/json"))).json();
}

export async function postForFile(path, body, type) {
  return URL.createObjectURL(await (await call(path, posted(body, undefined, type))).blob());
}

// The events of a drawing: {name, values}. Aborting the signal cancels it on the server.
export async function* draw(body, signal) {
  const answer = await call("/api/generate", posted(body, signal, "text/event-stream"));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      const name = /^event: (.*)$/m.exec(block)?.[1];
      if (!name) continue;
      const values = JSON.parse(/^data: (.*)$/m.exec(block)[1]);
      if (name === "error") throw new Refusal(values.status, values.errors);
      yield { name, values };
    }
  }
}
