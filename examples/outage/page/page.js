"use strict";
// The page keeps the last minute and draws it; all it is told comes from /events, ten times a second.
const keep = 600, seats = 16;
const $ = (q, root = document) => root.querySelector(q);
const whole = v => v.toFixed(0);
const time = v => v < 1000 ? v.toFixed(0) + " ms" : (v / 1000).toFixed(2) + " s";
const gauges = [
  { name: "orders/s", of: s => s.completed, write: whole },
  { name: "p99", of: s => s.p99_ms, write: time, none: s => s.completed + s.failed === 0 },
  { name: "goroutines", of: s => s.goroutines, write: whole },
  { name: "catalog/s", of: s => s.catalog_calls, write: whole },
];
const told = { well: "the catalog is well again", silent: "the catalog never answers", 503: "the catalog answers 503",
  cut: "the catalog drops connections in mid-response", slow: "the catalog is slow" };

let past = [], lastChange = -1, dirty = false;

for (const lane of ["plain", "guarded"]) {
  const list = $(`#${lane} .gauges`);
  for (const g of gauges) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = g.name;
    dd.append(document.createElement("b"), document.createElement("canvas"));
    list.append(dt, dd);
  }
}
for (let i = 0; i < seats; i++) $("#seats").append(document.createElement("i"));
for (const b of document.querySelectorAll("#switches button")) b.onclick = () => makeIll(b.dataset.ill);

async function makeIll(ill) {
  try {
    const res = await fetch("/catalog", { method: "POST", body: new URLSearchParams({ ill }) });
    if (!res.ok) trouble(await res.text());
  } catch { trouble("the shop does not answer: was it ended with Ctrl-C?"); }
}

function trouble(text) {
  $("#trouble").hidden = !text;
  $("#trouble").textContent = text;
}

const source = new EventSource("/events");
source.onopen = () => { past = []; lastChange = -1; $("#events").replaceChildren(); trouble(""); };
source.onerror = () => trouble("the shop does not answer: was it ended with Ctrl-C?");
source.onmessage = e => { take(JSON.parse(e.data)); dirty = true; };

function take(m) {
  const before = past.at(-1), at = m.guarded.tenth / 10;
  if (before && before.ill !== m.ill) tell(at, told[m.ill], m.ill === "well" ? "good" : "bad");
  for (const c of m.guarded.breaker_changes ?? []) {
    if (c.at_ns <= lastChange) continue;
    lastChange = c.at_ns;
    m.states = [...m.states ?? [], c.to];
    tell(c.at_ns / 1e9, sayChange(c), ink(c.to));
  }
  past.push(m);
  if (past.length > keep) past.shift();
}

const ink = state => ({ closed: "good", open: "bad", "half-open": "warn" })[state];

function sayChange(c) {
  const why = (c.cause ?? "").replace(/^fx: /, "");
  if (c.to === "half-open") return "breaker half-open: the cooldown is over, a probe may try";
  if (c.to === "closed") return "breaker closed: the probes succeeded";
  return (c.from === "half-open" ? "breaker open again: " : "breaker open: ") + why;
}

function tell(at, what, how) {
  const li = document.createElement("li"), when = document.createElement("time"), text = document.createElement("span");
  when.textContent = at.toFixed(1) + " s";
  text.textContent = what;
  text.className = "say-" + how;
  li.append(when, text);
  $("#events").prepend(li);
  while ($("#events").children.length > 12) $("#events").lastChild.remove();
}

const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name);
const mood = s => s.failed > 0 || s.completed === 0 ? "bad" : s.stale_share > 0 ? "warn" : "good";

function draw() {
  requestAnimationFrame(draw);
  if (!dirty) return;
  dirty = false;
  const now = past.at(-1);
  const colors = { good: color("good"), warn: color("warn"), bad: color("bad") };
  gauges.forEach((g, i) => {
    const top = Math.max(1, ...past.map(m => Math.max(g.of(m.plain), g.of(m.guarded)))) * 1.05;
    for (const lane of ["plain", "guarded"]) {
      const dd = $(`#${lane} .gauges`).children[2 * i + 1];
      $("b", dd).textContent = g.none?.(now[lane]) ? "–" : g.write(g.of(now[lane]));
      $("b", dd).className = "say-" + mood(now[lane]);
      bars($("canvas", dd), past.map(m => [g.of(m[lane]) / top, colors[mood(m[lane])]]));
    }
  });
  bars($("#strip"), past.map(m => {
    const shown = m.states?.includes("half-open") ? "half-open" : m.states?.at(-1) ?? m.guarded.breaker;
    return [1, colors[ink(shown)]];
  }));
  const state = now.guarded.breaker;
  $("#breaker").textContent = $("#breaker").dataset.state = state;
  const { bulkhead_running: running, bulkhead_waiting: waiting, stale_share: stale, stale_age_ms: age } = now.guarded;
  [...$("#seats").children].forEach((seat, i) => seat.className = i < running ? "taken" : "");
  $("#queue").textContent = `${running} of ${seats}, ${waiting} wait`;
  $("#stale").textContent = whole(100 * stale) + " %";
  $("#stale").className = stale > 0 ? "say-warn" : "";
  $("#age").textContent = stale > 0 ? "the oldest " + time(age) : "all prices are of now";
  $("#catalog").className = now.ill === "well" ? "" : "ill";
  for (const b of document.querySelectorAll("#switches button")) b.setAttribute("aria-pressed", b.dataset.ill === now.ill);
}

// bars draws one bar a moment, the latest at the right; each is [height from 0 to 1, color].
function bars(canvas, all) {
  const scale = devicePixelRatio, w = canvas.width = canvas.clientWidth * scale, h = canvas.height = canvas.clientHeight * scale;
  const to = canvas.getContext("2d"), step = w / keep;
  all.forEach(([height, fill], i) => {
    const x = w - (all.length - i) * step;
    to.fillStyle = fill;
    if (height > 0) to.fillRect(Math.floor(x), h - Math.max(height * h, scale), Math.ceil(step), h);
  });
}
draw();
