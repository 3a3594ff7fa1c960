"use strict";
// The state is on the server: this asks for the parts that changed, sends files one after the other, and films.
(() => {
  const byId = (id) => document.getElementById(id);
  const PARTS = ["jobs", "classes", "answers", "selftest", "searched"];
  const BUSY = 500; // milliseconds between two looks at the server while it works
  const IDLE = 3000;
  const played = new Map(); // addresses of the long videos that this page sent, by name
  let timer = 0;
  let ends = false;
  let sending = 0; // requests that change something and were not answered yet
  let answered = 0; // those that were

  const tell = (text) => {
    const box = byId("problem");
    box.textContent = text;
    box.hidden = !text;
    if (text) box.scrollIntoView({ block: "nearest" });
  };

  const answerOf = async (response) => {
    let found = {};
    try { found = await response.json(); } catch { /* a refusal of the guard is plain text */ }
    if (!response.ok) throw new Error(found.error || `the page was refused (${response.status}); open its address again`);
    return found;
  };

  const begin = () => { sending += 1; document.body.dataset.busy = "true"; };
  const end = () => { sending -= 1; answered += 1; look(0); };

  const post = async (address, body) => {
    begin();
    try {
      return await answerOf(await fetch(address, { method: "POST", body }));
    } catch (error) {
      tell(error instanceof TypeError ? "hcl app does not answer: it has ended, or refused the file" : error.message);
      return null;
    } finally {
      end();
    }
  };

  // Parts of the page.
  const fill = (name, part) => {
    const element = byId(name);
    const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
    const open = Array.from(element.querySelectorAll("details[open][id]"), (each) => each.id);
    element.innerHTML = part.html; // made by the server, where all names are escaped
    element.dataset.hash = part.hash;
    for (const id of open) if (byId(id)) byId(id).open = true;
    if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
    if (name === "classes") listTargets();
    if (name === "searched") showPlayers();
  };

  const listTargets = () => {
    const target = byId("target");
    const before = target.value;
    const options = Array.from(document.querySelectorAll("#classes .card"), (card) => {
      const option = document.createElement("option");
      option.value = card.dataset.class;
      option.textContent = `an example of ${card.dataset.label}`;
      return option;
    });
    target.replaceChildren(target.options[0], ...options);
    target.value = options.some((each) => each.value === before) ? before : "";
  };

  const showPlayers = () => {
    for (const player of document.querySelectorAll("video.player")) {
      const address = played.get(player.dataset.name);
      if (!address) continue;
      player.src = address;
      player.hidden = false;
      for (const button of player.closest("article").querySelectorAll("button.play")) button.hidden = false;
    }
  };

  const look = (wait) => {
    clearTimeout(timer);
    if (!ends) timer = setTimeout(refresh, wait);
  };

  const refresh = async () => {
    const before = answered;
    const known = new URLSearchParams(PARTS.map((name) => [name, byId(name).dataset.hash]));
    try {
      const found = await answerOf(await fetch(`/parts?${known}`));
      for (const [name, part] of Object.entries(found.parts)) fill(name, part);
      const busy = found.busy || sending > 0 || before < answered; // what it was asked since then is not in it
      document.body.dataset.busy = String(busy);
      look(busy ? BUSY : IDLE);
    } catch (error) {
      if (ends) return; // the page is being left
      tell(error instanceof TypeError ? "hcl app does not answer: it has ended" : error.message);
      look(IDLE * 3);
    }
  };

  // Files.
  let queue = Promise.resolve();
  const send = (file, name, purpose, key) => {
    const most = Number(document.body.dataset.most);
    if (file.size > most * 1e6) {
      tell(`${name}: larger than ${most} MB; start hcl app with --max-upload MB`);
      return;
    }
    if (purpose === "search") played.set(name, URL.createObjectURL(file));
    const given = new URLSearchParams({ name, ...(key ? { class: key } : {}) });
    begin(); // it may wait for those before it
    queue = queue.then(() => post(`/upload/${purpose}?${given}`, file)).finally(end);
  };
  const sendAll = (files, of) => {
    tell("");
    for (const file of files) send(file, file.name, of.purpose, of.class);
  };

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.type !== "file") return;
    sendAll(Array.from(input.files), input.dataset);
    input.value = "";
  });
  const zoneOf = (event) => (event.target instanceof Element ? event.target.closest(".drop") : null);
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault(); // a file that is dropped beside a zone is not opened in place of the page
      const zone = zoneOf(event);
      if (!zone) return;
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") sendAll(Array.from(event.dataTransfer.files), zone.dataset);
    });
  }

  // Buttons.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.classList.contains("play")) play(button);
    if (!button.dataset.action || (button.dataset.confirm && !confirm(button.dataset.confirm))) return;
    tell("");
    const { action, number, clip } = button.dataset;
    const given = { number: Number(number || 0), clip, class: button.dataset.class };
    post(`/do/${action}`, JSON.stringify(given));
  });
  const play = (button) => {
    const player = button.closest("article").querySelector("video.player");
    const end = Number(button.dataset.end);
    player.currentTime = Number(button.dataset.start);
    player.ontimeupdate = () => { if (player.currentTime >= end) { player.pause(); player.ontimeupdate = null; } };
    player.play().catch(() => tell(`${player.dataset.name}: this browser cannot play it`));
  };
  byId("new-class").addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("");
    const input = byId("class-name");
    if (await post("/do/add-class", JSON.stringify({ name: input.value }))) input.value = "";
  });

  // The camera.
  const preview = byId("preview");
  const KINDS = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
  let stream = null;
  let count = 0;
  const say = (text) => { byId("filming").textContent = text; };
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  byId("camera").addEventListener("click", async () => {
    tell("");
    if (stream) {
      for (const track of stream.getTracks()) track.stop();
      stream = preview.srcObject = null;
    } else {
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
        preview.srcObject = stream;
        await preview.play();
      } catch (error) {
        tell(`the camera cannot be used (${error.name || "no such device"}); allow it for this page, or drop files`);
      }
    }
    preview.hidden = byId("record").disabled = !stream;
    byId("record").disabled = !stream || !window.MediaRecorder;
    byId("camera").textContent = stream ? "Turn the camera off" : "Turn the camera on";
    say(stream ? "The camera is on." : "The camera is off.");
  });
  byId("record").addEventListener("click", async () => {
    tell("");
    byId("record").disabled = byId("camera").disabled = true;
    const [key, seconds] = [byId("target").value, Number(byId("seconds").value)];
    try {
      for (let left = 3; left; left -= 1) { say(`Recording begins in ${left}`); await pause(500); }
      const kind = KINDS.find((each) => MediaRecorder.isTypeSupported(each));
      const recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
      const pieces = [];
      recorder.ondataavailable = (event) => pieces.push(event.data);
      const stopped = new Promise((done, failed) => { recorder.onstop = done; recorder.onerror = failed; });
      recorder.start();
      say(`Recording ${seconds} seconds`);
      await pause(1000 * seconds);
      recorder.stop();
      await stopped;
      count += 1;
      const suffix = recorder.mimeType.includes("mp4") ? "mp4" : "webm";
      send(new Blob(pieces, { type: recorder.mimeType }), `recording ${count}.${suffix}`, key ? "example" : "question", key);
      say("Recorded.");
    } catch (error) {
      tell(`the recording failed (${error.name || "unknown"})`);
    }
    byId("record").disabled = !stream;
    byId("camera").disabled = false;
  });

  addEventListener("pagehide", () => { ends = true; clearTimeout(timer); });
  addEventListener("pageshow", () => { if (ends) { ends = false; look(0); } });
  listTargets();
  look(0);
})();
