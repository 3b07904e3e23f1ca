// Requests to the collector. The token is kept in this tab, and sent in a header only.

const kTokenKey = 'fleetledger.token';
const kTimeoutMs = 20000;

export const storedToken = () => sessionStorage.getItem(kTokenKey);
export const keepToken = token => sessionStorage.setItem(kTokenKey, token);
export const forgetToken = () => sessionStorage.removeItem(kTokenKey);

/// An answer that is none of 200: `status` is HTTP's, or 0 if there was no answer at all.
class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
  get refused() {
    return this.status === 401 || this.status === 403;
  }
}

/// What GET answers, and the collector's clock (ms) when it did: this browser's may be another.
export async function get(path, token = storedToken()) {
  let response;
  let body;
  try {
    response = await fetch(path, {
      headers: { Authorization: `Bearer ${token}` },
      cache: 'no-store',
      signal: AbortSignal.timeout(kTimeoutMs),
    });
    body = await response.json();
  } catch (error) {
    throw new Failure(0, 'no answer');
  }
  if (response.status !== 200) throw new Failure(response.status, String(body.error));
  return { ...body, clock: Date.parse(response.headers.get('Date')) || Date.now() };
}

/// Likewise, but undefined where the ledger is switched off or out of use (503).
export async function getLedger(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error.status === 503) return undefined;
    throw error;
  }
}
