// The server, by its routes. Every refusal is one line of text, thrown as an Error.

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {credentials: "same-origin", ...options});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is match serve still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = text.trim();
  try { said = JSON.parse(text).error || said; } catch { /* plain text is fine */ }
  throw new Error(said || `The server answered ${answer.status}.`);
}

const json = async (path, options) => (await asked(path, options)).json();
const post = (path, body, options = {}) =>
  asked(path, {method: "POST", body: JSON.stringify(body), headers: {"Content-Type": "application/json"}, ...options});

export const api = {
  state: () => json("/api/state"),
  controls: () => json("/api/controls"),
  job: (id) => json(`/api/jobs/${id}`),
  add: async (job) => (await post("/api/jobs", job)).json(),
  cancel: (id) => post(`/api/jobs/${id}/cancel`, {}),
  again: (id) => post(`/api/jobs/${id}/again`, {}),
  keep: (id) => post(`/api/jobs/${id}/keep`, {}),
  remove: (id) => asked(`/api/jobs/${id}`, {method: "DELETE"}),
  render: async (id, steps, title, draft) => (await post(`/api/jobs/${id}/renders`, {steps, title, draft})).json(),
  export: async (id, form) => (await post(`/api/jobs/${id}/exports`, form)).json(),

  /** A stretch of target, result or reference, ready to play. */
  sound: async (id, track, start, count, signal) =>
    part(await asked(`/api/jobs/${id}/sound/${track}?start=${start}&count=${count}`, {signal}), count),

  /** A stretch of the target through changed steps. */
  section: async (id, steps, start, count, signal) =>
    part(await post(`/api/jobs/${id}/section`, {steps, start, count}, {signal}), count),

  /** Send a file; told(share) as it goes. */
  upload(file, told) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/api/files?name=${encodeURIComponent(file.name)}`);
      request.upload.onprogress = (event) => told(event.lengthComputable ? event.loaded / event.total : 0);
      request.onerror = () => reject(new Error(`${file.name}: the server does not take it, or has gone.`));
      request.onload = () => {
        let answer = {};
        try { answer = JSON.parse(request.responseText); } catch { /* said below */ }
        if (request.status === 200) resolve(answer);
        else reject(new Error(answer.error || request.responseText.trim() || `${file.name}: refused`));
      };
      request.send(file);
    });
  },
};

/** Planar float samples as they came, with what they measure. */
async function part(answer, count) {
  const channels = Number(answer.headers.get("X-Channels"));
  const data = await answer.arrayBuffer();
  return {
    channels: Array.from({length: channels}, (_, c) => new Float32Array(data, c * count * 4, count)),
    lufs: Number(answer.headers.get("X-LUFS")),
    peak: Number(answer.headers.get("X-Peak")),
    reduction_db: Number(answer.headers.get("X-Reduction-dB")),
  };
}
