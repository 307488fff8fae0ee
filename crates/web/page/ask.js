// Asking the server, and asking again when it says that something is new.

import { useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { language } from "/words.js";

export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-cache", headers: { accept: "application/json", "accept-language": language(), ...(options.body && { "content-type": "application/json" }) }, ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, body.detail ?? answer.statusText);
  return body;
}

// ---------- what is new ----------

const listeners = new Set();
let events = null;
let waiting = null;

function tell() {
  waiting ??= setTimeout(() => {
    waiting = null;
    for (const listener of listeners) listener();
  }, 400);
}

/** Begins to listen; where events can't come, the clock does. */
export function listen() {
  if (events) return;
  events = new EventSource("/api/v1/events");
  events.addEventListener("alert", tell);
  let counted = 0;
  events.addEventListener("latest", () => {
    if (Date.now() - counted < 4000) return;
    counted = Date.now();
    tell();
  });
  setInterval(() => document.visibilityState === "visible" && tell(), 20000);
}

/** The answer to a question, again and again; `lost` when the last try failed. A path of null asks nothing. */
export function useAnswer(path) {
  const [state, set] = useState({ path: null, data: null, error: null });
  const text = useRef("");
  useEffect(() => {
    if (!path) return;
    let gone = false;
    const again = async () => {
      try {
        const data = await ask(path);
        const fresh = path + JSON.stringify(data);
        if (!gone && fresh !== text.current) {
          text.current = fresh;
          set({ path, data, error: null });
        } else if (!gone) set((known) => (known.error ? { ...known, error: null } : known));
      } catch (error) {
        if (!gone) set((known) => ({ ...known, path, data: known.path === path ? known.data : null, error }));
      }
    };
    again();
    listeners.add(again);
    return () => {
      gone = true;
      listeners.delete(again);
    };
  }, [path]);
  return state.path === path ? state : { path, data: null, error: null };
}

export const query = (parts) => new URLSearchParams(Object.entries(parts).filter(([, value]) => value !== null && value !== undefined && value !== "")).toString();

/** Asks all again, at once. */
export function refresh() {
  for (const listener of listeners) listener();
}
