// Building the document. Text only ever becomes text nodes: nothing here reads HTML.

const svg = 'http://www.w3.org/2000/svg';

/** An element; properties that are functions listen, others are attributes, false and null are left out. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(svg, tag), properties, children);
}

export const byId = id => document.getElementById(id);

/** Tells who cannot see what has changed. */
export function announce(text) {
  byId('status').textContent = text;
}

/** Puts text on the clipboard; false where the browser does not let us. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** A button that copies what `text` returns, and says that it has. */
export function copyButton(text, label) {
  const button = h('button', { type: 'button', class: 'quiet small', 'aria-label': label, click: async () => {
    button.textContent = await copy(text()) ? 'Copied' : 'Not allowed';
    announce(button.textContent);
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  } }, 'Copy');
  return button;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function')
      element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value === true ? '' : value);
  }

  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}
