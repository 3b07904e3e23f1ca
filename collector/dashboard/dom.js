// Elements without markup: text goes in as text, whatever it is.

/// h('a', {href: '#/', on: {click}}, 'text', element, ...): undefined attributes and children are left out.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter(child => child !== undefined));
  return element;
}

/// Foreign text: isolated, so that its direction does not change what stands around it.
export const foreign = text => h('bdi', {}, text);

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setChildren(element, ...children) {
  const fresh = children.filter(child => child !== undefined);
  const same = element.childNodes.length === fresh.length &&
    fresh.every((child, i) => isSame(child, element.childNodes[i]));
  if (!same) element.replaceChildren(...fresh);
}

function isSame(child, node) {
  return typeof child === 'string' ? node.nodeType === Node.TEXT_NODE && node.data === child : node.isEqualNode(child);
}

export function setShown(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/// Makes the rows of `body` those of `items`, in their order: rows that stay are updated in place, focus stays.
export function syncRows(body, items, keyOf, create, update) {
  const focused = document.activeElement;
  const known = new Map([...body.children].map(row => [row.dataset.key, row]));
  let at = body.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    if (row === undefined) {
      row = create(item);
      row.dataset.key = key;
    }
    known.delete(key);
    update(row, item);
    if (row === at) {
      at = at.nextElementSibling;
    } else {
      body.insertBefore(row, at);
    }
  }
  for (const row of known.values()) row.remove();
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
}
