// Making elements. Text from outside becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

export const make = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
export const draw = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const two = (number) => String(number).padStart(2, "0");

// Everything is said in UTC, as it is counted.
export function day(seconds) {
  const at = new Date(seconds * 1000);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
}

export function clock(seconds) {
  const at = new Date(seconds * 1000);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

export function moment(seconds) {
  return `${WEEKDAYS[new Date(seconds * 1000).getUTCDay()]} ${day(seconds)} ${clock(seconds)}`;
}

export function number(value, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const places = digits ?? (Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0);
  return value.toLocaleString("en", { maximumFractionDigits: places });
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  // Never 100 % of what was not whole.
  return `${share >= 1 ? 100 : Math.min(99, Math.round(share * 100))} %`;
}

export function span(seconds) {
  if (seconds % 86400 === 0 && seconds > 86400) return `${seconds / 86400} days`;
  if (seconds % 3600 === 0) return `${seconds / 3600} h`;
  return `${seconds / 60} min`;
}
