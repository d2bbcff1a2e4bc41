/* Keeps the whole site, so that it works without a connection after the first visit. */
importScripts('precache.js'); // VERSION and FILES

const {VERSION, FILES} = self;
const PREFIX = `keras-ganvae ${self.registration.scope} `; // other sites of this host have others
const NAME = PREFIX + VERSION;

self.addEventListener('install', (event) => {
  // The browser's own cache may hold files of another version: it must ask. What the page has
  // just loaded is then not sent again.
  const requests = FILES.map((file) => new Request(file, {cache: 'no-cache'}));
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(requests)));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

async function forgetOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

// A page of the old version goes on with its files until somebody agrees to the new one.
self.addEventListener('message', (event) => {
  if (event.data === 'take over') self.skipWaiting();
});

self.addEventListener('fetch', (event) => {
  const {request} = event;
  if (request.method !== 'GET' || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(NAME);
  const kept = await cache.match(request, {ignoreSearch: true});
  if (kept) return kept;
  if (request.mode === 'navigate') {
    const page = await cache.match('index.html');
    if (page) return page;
  }
  return fetch(request);
}
