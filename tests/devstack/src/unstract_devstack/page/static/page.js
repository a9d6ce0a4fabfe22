"use strict";

// The page is whole without this. With it, fragments that the server rendered again take the place of the old ones,
// changed nodes only, so that focus, selection and opened details stay.

const main = document.querySelector("[data-live]");
const state = document.getElementById("live-state");
let source = null;
let timer = null;

/** Makes `old` equal to `fresh`; children with an id are found by it, others by their place. */
function settle(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
  } else {
    settleAttributes(old, fresh);
    settleChildren(old, fresh);
  }
}

function settleAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
}

function settleChildren(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? known.get(child.id) : place && !place.id ? place : null;
    if (!same) {
      old.insertBefore(child, place);
    } else if (same === place) {
      place = place.nextSibling;
      settle(same, child);
    } else {
      // Rows in between are gone: taking them out leaves the one with the focus where it is.
      while (place && place !== same && !stays(place, fresh)) place = removed(place);
      if (place === same) place = place.nextSibling;
      else old.insertBefore(same, place);
      settle(same, child);
    }
  }
  while (place) place = removed(place);
}

function stays(node, fresh) {
  return Boolean(node.id) && [...fresh.children].some((child) => child.id === node.id);
}

function removed(node) {
  const following = node.nextSibling;
  node.remove();
  return following;
}

function say(word) {
  state.hidden = false;
  state.dataset.state = word;
  state.textContent = word;
}

function show(event) {
  const template = document.createElement("template");
  template.innerHTML = event.data;
  const fresh = template.content.firstElementChild;
  const old = fresh && document.getElementById(fresh.id);
  if (old) settle(old, fresh);
}

function watch() {
  clearTimeout(timer);
  if (source || document.hidden) return;
  source = new EventSource(main.dataset.live);
  source.addEventListener("open", () => say("live"));
  source.addEventListener("fragment", show);
  source.addEventListener("error", () => {
    say("reconnecting");
    // The browser tries again by itself, but not after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) {
      leave();
      timer = setTimeout(watch, 3000);
    }
  });
}

function leave() {
  clearTimeout(timer);
  if (source) source.close();
  source = null;
}

if (main) {
  watch();
  // Nobody looks at a hidden page, and a browser opens only six connections to one server.
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : watch()));
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", watch);
}

// Files that are dropped anywhere on the page are uploaded as if they had been chosen.
const upload = document.getElementById("upload");

if (upload) {
  const over = (event, shown) => {
    if (!event.dataTransfer || ![...event.dataTransfer.types].includes("Files")) return false;
    event.preventDefault();
    upload.classList.toggle("over", shown);
    return true;
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => over(event, false));
  document.addEventListener("drop", (event) => {
    if (!over(event, false) || !event.dataTransfer.files.length) return;
    upload.elements.files.files = event.dataTransfer.files;
    upload.requestSubmit();
  });
}
