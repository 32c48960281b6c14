"use strict";
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var tests = (data.tests || []).filter(function (list) { return list.length > 0; });
  function cell(row, text, name) {
    var td = document.createElement("td");
    if (name === "id") {
      var code = document.createElement("code");
      code.textContent = text;
      td.appendChild(code);
    } else {
      td.textContent = text;
      if (name) { td.className = name; }
    }
    row.appendChild(td);
  }
  var later = 0;
  document.querySelectorAll(".tests").forEach(function (part) {
    var table = part.querySelector(".cases");
    if (!table) { return; }
    var tools = part.querySelector(".tools");
    var body = table.tBodies[0];
    var find = part.querySelector(".find");
    var order = part.querySelector(".order");
    var found = part.querySelector(".found");
    var more = Number(table.dataset.more) > 0 ? tests[later++] : null;
    var all = part.querySelector(".all");
    var given = Array.from(body.rows);
    tools.hidden = false;
    function load() {
      if (!more) { return; }
      var rows = document.createDocumentFragment();
      more.forEach(function (test) {
        var row = document.createElement("tr");
        row.className = "o-" + test.outcome;
        row.dataset.o = test.outcome;
        row.dataset.ms = test.ms;
        cell(row, test.outcome);
        cell(row, test.id, "id");
        cell(row, test.time, "num");
        rows.appendChild(row);
      });
      body.appendChild(rows);
      given = Array.from(body.rows);
      more = null;
      var note = part.querySelector(".more");
      if (note) { note.remove(); }
    }
    function off() {
      return Array.from(part.querySelectorAll(".filter[aria-pressed=false]")).map(function (b) { return b.dataset.outcome; });
    }
    function show() {
      var words = find.value.toLowerCase();
      var hidden = off();
      if (words || hidden.length) { load(); }
      var n = 0;
      given.forEach(function (row) {
        var yes = hidden.indexOf(row.dataset.o) < 0 && (!words || row.textContent.toLowerCase().indexOf(words) >= 0);
        row.hidden = !yes;
        if (yes) { n += 1; }
      });
      found.textContent = words || hidden.length ? n + " of " + given.length : "";
    }
    find.addEventListener("input", show);
    part.querySelectorAll(".filter").forEach(function (button) {
      button.addEventListener("click", function () {
        button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "true" ? "false" : "true");
        show();
      });
    });
    order.addEventListener("change", function () {
      load();
      var rows = given.slice();
      if (order.value === "slow") {
        rows.sort(function (a, b) { return b.dataset.ms - a.dataset.ms; });
      } else if (order.value === "name") {
        rows.sort(function (a, b) { return a.cells[1].textContent < b.cells[1].textContent ? -1 : 1; });
      }
      rows.forEach(function (row) { body.appendChild(row); });
      show();
    });
    if (all) {
      all.hidden = false;
      all.addEventListener("click", function () { load(); show(); });
    }
  });
  document.querySelectorAll(".processes").forEach(function (part) {
    var seek = part.querySelector(".seek");
    var kinds = Array.from(part.querySelectorAll(".sort"));
    var said = part.querySelector(".seen");
    var all = Array.from(part.querySelectorAll(".proc"));
    part.querySelector(".tools").hidden = false;
    function show() {
      var words = seek.value.toLowerCase();
      var off = kinds.filter(function (b) { return b.getAttribute("aria-pressed") === "false"; }).map(function (b) { return b.dataset.kind; });
      var n = 0;
      all.forEach(function (proc) {
        var head = proc.firstElementChild.textContent.toLowerCase().indexOf(words) >= 0;
        var any = false;
        proc.querySelectorAll(".acts").forEach(function (acts) {
          var yes = off.indexOf(acts.dataset.kind) < 0;
          var left = 0;
          acts.querySelectorAll(".act").forEach(function (act) {
            var hit = !words || head || act.textContent.toLowerCase().indexOf(words) >= 0;
            act.hidden = !hit;
            if (hit) { left += 1; }
          });
          acts.hidden = !yes || left === 0;
          if (yes && left > 0) { any = true; }
        });
        proc.hidden = words ? !(head || any) : off.length > 0 && !any;
        if (!proc.hidden) { n += 1; }
        if (words && any && !head) { proc.open = true; }
      });
      part.querySelectorAll(".procs").forEach(function (d) { if (words || off.length) { d.open = true; } });
      said.textContent = words || off.length ? n + " of " + all.length + " processes" : "";
    }
    seek.addEventListener("input", show);
    kinds.forEach(function (button) {
      button.addEventListener("click", function () {
        button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "true" ? "false" : "true");
        show();
      });
    });
  });
  document.querySelectorAll(".narrow").forEach(function (find) {
    var part = find.closest(".part");
    var said = part.querySelector(".narrowed");
    var all = Array.from(part.querySelectorAll("tbody tr, .talk"));
    find.closest(".tools").hidden = false;
    find.addEventListener("input", function () {
      var words = find.value.toLowerCase();
      var n = 0;
      all.forEach(function (one) {
        one.hidden = words !== "" && one.textContent.toLowerCase().indexOf(words) < 0;
        if (!one.hidden) { n += 1; }
      });
      part.querySelectorAll(".place").forEach(function (place) {
        place.hidden = !place.querySelector("tbody tr:not([hidden])");
        if (words) { place.open = true; }
      });
      said.textContent = words ? n + " of " + all.length : "";
    });
  });
  var main = document.getElementById("main");
  var everything = Array.from(document.querySelectorAll(".relight"));
  function light(number) {
    if (number) { main.dataset.lit = number; } else { delete main.dataset.lit; }
    everything.forEach(function (button) { button.hidden = !number; });
  }
  document.querySelectorAll(".finding").forEach(function (finding) {
    var number = finding.dataset.x;
    finding.addEventListener("click", function (event) {
      var link = event.target.closest("a");
      if (!link) { return; }
      light(number);
      var first = link.parentElement.classList.contains("light") && document.querySelector(".tree .l" + number);
      if (first) {
        event.preventDefault();
        var picture = first.closest(".picture");
        for (var up = picture; up; up = up.parentElement) {
          if (up.tagName === "DETAILS") { up.open = true; }
        }
        picture.scrollIntoView({ block: "center" });
      }
    });
  });
  everything.forEach(function (button) {
    button.addEventListener("click", function () { light(""); });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "/" || /^(input|select|textarea)$/i.test(event.target.tagName)) { return; }
    var find = document.querySelector(".find");
    if (find) { event.preventDefault(); find.focus(); }
  });
  function open() {
    var id = location.hash.slice(1);
    var at = id && document.getElementById(id);
    if (!at) { return; }
    for (var up = at; up; up = up.parentElement) {
      if (up.tagName === "DETAILS") { up.open = true; }
    }
    at.scrollIntoView();
  }
  addEventListener("hashchange", open);
  addEventListener("beforeprint", function () {
    document.querySelectorAll("details.part").forEach(function (d) { d.open = true; });
  });
  open();
  document.querySelectorAll("details[data-z]").forEach(function (part) {
    part.addEventListener("toggle", function open() {
      if (!part.open || !window.DecompressionStream) { return; }
      part.removeEventListener("toggle", open);
      var bytes = Uint8Array.from(atob(part.dataset.z), function (c) { return c.charCodeAt(0); });
      var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      new Response(stream).json().then(function (lines) {
        var pre = part.querySelector(".src");
        lines.forEach(function (line) {
          var span = document.createElement("span");
          if (line[0]) { span.className = line[0]; }
          span.textContent = line[1];
          if (line[2]) { span.title = line[2]; }
          pre.appendChild(span);
        });
        pre.hidden = false;
      });
    });
  });
})();
