// Looks at every page in a real browser: axe finds nothing, nothing is broken, nothing scrolls sideways at 360 pixels, dark and light; the keyboard
// leads through; without script everything is there; with it results come by themselves. Prints what is wrong, one line each.
//
//   node browser.cjs BASE MODULES PICTURES PATH…
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const [base, modules, pictures, ...paths] = process.argv.slice(2);
const from = createRequire(path.join(modules, "here.js"));
const puppeteer = from("puppeteer-core");
const axe = fs.readFileSync(from.resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const wrong = (...words) => console.log("WRONG", ...words);

async function check(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate((runOnly) => axe.run(document, { runOnly }), rules);
  for (const one of found.violations) {
    wrong(name, one.id, one.nodes.slice(0, 3).map((node) => node.target.join(" ") + " " + node.html.slice(0, 120)).join(" | "));
  }
  return found.violations.length;
}

async function open(browser, width, scheme) {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 1400 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  page.on("pageerror", (error) => wrong(page.url(), "script failed:", error.message));
  page.on("dialog", (dialog) => {
    wrong(page.url(), "script of a package ran");
    dialog.dismiss();
  });
  // what the policy keeps out is told here, too
  page.on("console", (message) => {
    if (message.type() === "error") { wrong(page.url(), message.text()); }
  });
  return page;
}

async function look(browser, width, scheme) {
  const page = await open(browser, width, scheme);
  for (const where of paths) {
    const name = `${where} at ${width}, ${scheme}`;
    await page.goto(base + where, { waitUntil: "load" });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) { wrong(name, "scrolls sideways by", over); }
    await check(page, name);
    const file = (where.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "front") + `-${width}-${scheme}.png`;
    await page.screenshot({ path: path.join(pictures, file) });
  }
  await page.close();
}

// a page that axe must not like, so that silence means something
async function twin(browser) {
  const page = await browser.newPage();
  await page.setContent("<html><body><img src='x'><p style='color:#ccc;background:#fff'>pale</p></body></html>");
  await page.evaluate(axe);
  const found = await page.evaluate((runOnly) => axe.run(document, { runOnly }), rules);
  const ids = found.violations.map((one) => one.id);
  for (const id of ["image-alt", "color-contrast", "html-has-lang"]) {
    if (!ids.includes(id)) { wrong("axe does not see", id); }
  }
  await page.close();
}

async function keyboard(browser) {
  const page = await open(browser, 1280, "light");
  await page.goto(base + "/projects/six");
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.className + " " + getComputedStyle(document.activeElement).outlineStyle);
  if (first !== "skip solid") { wrong("the first stop of the keyboard is", first); }
  await page.keyboard.press("Enter");
  if (!page.url().endsWith("#main")) { wrong("the first stop does not lead to the content"); }
  const seen = new Set();
  for (let n = 0; n < 60; n += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const hidden = getComputedStyle(element).outlineStyle === "none" && element !== document.body;
      return { href: element.getAttribute("href") || element.className, hidden, name: element.outerHTML.slice(0, 80) };
    });
    if (at.hidden) { wrong("no outline shows where the keyboard is:", at.name); }
    seen.add(at.href);
  }
  if (![...seen].some((href) => href && href.startsWith("/results/"))) { wrong("the keyboard does not reach the matrix"); }
  await page.goto(base + "/");
  await page.focus("#q");
  await page.keyboard.type("si");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  if (!page.url().includes("/search?q=si")) { wrong("search by keyboard leads to", page.url()); }
  await page.close();
}

async function withoutScript(browser) {
  const page = await browser.newPage();
  await page.setJavaScriptEnabled(false);
  for (const where of paths) {
    await page.goto(base + where, { waitUntil: "load" });
    const text = await page.$eval("main", (main) => main.innerText);
    if (text.length < 40) { wrong(where, "has nothing without script"); }
    const dead = await page.$$eval("button", (all) => all.filter((b) => b.type === "button" && b.checkVisibility()).length);
    if (dead > 0) { wrong(where, "shows buttons that do nothing without script"); }
  }
  await page.close();
}

// feeds and badges are XML for whoever reads them strictly
async function strict(browser) {
  const page = await open(browser, 1280, "light");
  await page.goto(base + "/about");
  for (const [where, kind] of [["/projects/six.atom", "application/xml"], ["/verdicts.atom", "application/xml"], ["/projects/evil.atom", "application/xml"],
    ["/projects/six/works.svg", "image/svg+xml"], ["/projects/evil/safe.svg", "image/svg+xml"]]) {
    const error = await page.evaluate(async (where, kind) => {
      const text = await (await fetch(where)).text();
      const error = new DOMParser().parseFromString(text, kind).querySelector("parsererror");
      return error && error.textContent;
    }, where, kind);
    if (error) { wrong(where, "is not well-formed:", error); }
  }
  await page.close();
}

async function live(browser) {
  const page = await open(browser, 1280, "light");
  await page.goto(base + "/");
  await page.waitForFunction(() => !document.getElementById("live").hidden, { timeout: 10000 });
  const before = await page.$eval("#stream a", (link) => link.getAttribute("href"));
  // the test puts a result now
  console.log("FOLLOWING");
  await page.waitForFunction((before) => document.querySelector("#stream a").getAttribute("href") !== before, { timeout: 15000 }, before)
    .catch(() => wrong("no result came by itself"));
  const row = await page.$eval("#stream li", (row) => row.innerText);
  if (!/works\? /.test(await page.$eval("#stream li", (row) => row.textContent)) || !/fresh-1/.test(row)) { wrong("the row that came is", row); }
  await page.waitForFunction(() => /fresh-1/.test(document.querySelector("#uploads-list li").innerText), { timeout: 10000 })
    .catch(() => wrong("no upload came by itself"));
  await check(page, "the front page after a result came");
  await page.close();
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    // it looks at pages of ours on loopback only, also where tests run as root
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  try {
    await twin(browser);
    // one after the other: a page in the background is not drawn
    await look(browser, 1280, "light");
    await look(browser, 360, "dark");
    await keyboard(browser);
    await withoutScript(browser);
    await strict(browser);
    await live(browser);
    console.log("DONE");
  } finally {
    await browser.close();
  }
})().catch((error) => wrong("it broke off:", error.stack));
