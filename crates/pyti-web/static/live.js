"use strict";
(function () {
  var stream = document.getElementById("stream");
  if (!stream || !window.EventSource) { return; }
  var bar = document.getElementById("live");
  var pause = document.getElementById("pause");
  var said = document.getElementById("live-said");
  var works = {
    pass: ["good", "✔"], load: ["good", "◕"], install: ["good", "◑"], fail: ["bad", "✘"], crash: ["bad", "✖"],
    killed: ["bad", "◼"], skip: ["none", "○"], na: ["none", "–"], broken: ["bad", "⊘"], error: ["mild", "▲"]
  };
  var safe = {
    not_judged: ["none", "◌"], clean: ["good", "◇"], notable: ["mild", "◈"], inconclusive: ["mild", "◈"],
    suspicious: ["bad", "◆"], harmful: ["bad", "◆"]
  };
  var most = 30;
  var waiting = [];
  function make(name, kind, text) {
    var element = document.createElement(name);
    if (kind) { element.className = kind; }
    if (text) { element.textContent = text; }
    return element;
  }
  function tag(kind, looks, word) {
    var look = looks[word] || ["none", "○"];
    var out = make("span", "tag " + kind + " tone-" + look[0]);
    var glyph = make("span", "", look[1]);
    glyph.setAttribute("aria-hidden", "true");
    out.append(glyph, " ", make("span", "hear", kind + "? "), word.replace("_", " "));
    return out;
  }
  // what turns or hides text is made visible, as on the server
  function visible(text) {
    var odd = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
    var shown = text.replace(odd, function (c) { return "\\u{" + c.charCodeAt(0).toString(16) + "}"; });
    return shown.length > 160 ? shown.slice(0, 160) + "… (" + (shown.length - 160) + " more characters)" : shown;
  }
  function show(result) {
    var row = make("li", "hit fresh");
    var what = make("span", "what");
    var link = make("a");
    link.href = "/results/" + Number(result.id);
    link.append(result.project + " ", make("b", "", visible(result.version)));
    var python = result.environment.interpreter.replace("cpython-", "CPython ").replace("pypy-", "PyPy ");
    what.append(link, " ", make("span", "quiet small", result.kind + " · " + python));
    var answers = make("span", "answers-in-row");
    answers.append(tag("works", works, result.status), " ", tag("safe", safe, result.verdict));
    var tests = result.passed + result.failed;
    var why = make("span", "why small", (result.reason || "").replace(/_/g, " ") +
      (tests ? (result.reason ? " · " : "") + (result.failed ? result.failed + " of " + tests + " tests failed" : tests + " tests") : ""));
    var when = make("time", "when quiet small", "just now");
    when.dateTime = result.finished;
    row.append(what, answers, why, when);
    stream.prepend(row);
    while (stream.children.length > most) { stream.lastElementChild.remove(); }
  }
  function flush() {
    waiting.forEach(show);
    waiting = [];
  }
  function tell() {
    var paused = pause.getAttribute("aria-pressed") === "true";
    said.textContent = paused ? (waiting.length ? waiting.length + " waiting" : "paused") : "";
  }
  pause.addEventListener("click", function () {
    var paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) { flush(); }
    tell();
  });
  var newest = stream.querySelector("a[href^='/results/']");
  var after = newest ? newest.getAttribute("href").split("/").pop() : "0";
  var source = new EventSource("/stream?all=1&after=" + encodeURIComponent(after));
  source.addEventListener("result", function (event) {
    var result = JSON.parse(event.data);
    if (pause.getAttribute("aria-pressed") === "true") {
      waiting.push(result);
      if (waiting.length > most) { waiting.shift(); }
      tell();
    } else {
      show(result);
    }
  });
  var uploads = document.getElementById("uploads-list");
  source.addEventListener("upload", function (event) {
    var file = JSON.parse(event.data);
    if (uploads.querySelector("a[href='/files/" + file.sha256 + "']")) { return; }
    var row = make("li");
    var link = make("a", "", visible(file.name));
    link.href = "/files/" + encodeURIComponent(file.sha256);
    row.append(link, " ", make("span", "quiet small", "just now"));
    uploads.prepend(row);
    while (uploads.children.length > 10) { uploads.lastElementChild.remove(); }
  });
  source.addEventListener("now", function (event) {
    var now = JSON.parse(event.data);
    document.getElementById("now-waiting").textContent = now.waiting;
    document.getElementById("now-running").textContent = now.running;
  });
  source.addEventListener("open", function () { bar.hidden = false; tell(); });
  source.addEventListener("error", function () { said.textContent = "not connected; trying again"; });
})();
