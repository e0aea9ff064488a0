// Keeps the parts of a page that are marked data-live up to date. Pages work without it.
// People can stop it, and what somebody is using with the keyboard is never replaced.
"use strict";

const SECONDS = 5;
const regions = () => [...document.querySelectorAll("[data-live]")];

function addSwitch() {
  const label = document.createElement("label");
  label.className = "check";
  label.id = "live-switch";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = sessionStorage.getItem("live") !== "off";
  box.addEventListener("change", () => sessionStorage.setItem("live", box.checked ? "on" : "off"));
  label.append(box, " Live");
  document.querySelector("header").append(label);
  return box;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { "x-requested-with": "live" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const region of regions()) {
    const replacement = fresh.getElementById(region.id);
    const used = region.contains(document.activeElement);
    if (replacement && !used && replacement.innerHTML !== region.innerHTML) {
      region.replaceChildren(...replacement.childNodes);
    }
  }
}

if (regions().length) {
  const box = addSwitch();
  setInterval(() => {
    if (box.checked && !document.hidden) refresh().catch(() => {});
  }, SECONDS * 1000);
}
