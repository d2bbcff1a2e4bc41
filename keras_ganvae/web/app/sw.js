/* Caches the whole site on the first visit, for use offline. */
importScripts('precache.js'); // VERSION and FILES

const {VERSION, FILES} = self;
const PREFIX = `keras-ganvae ${self.registration.scope} `; // unique among the sites of a host
const NAME = PREFIX + VERSION;

self.addEventListener('install', (event) => {
  // 'no-cache' revalidates: the HTTP cache may hold another version's files, but what the page
  // has just loaded is not sent again.
  const requests = FILES.map((file) => new Request(file, {cache: 'no-cache'}));
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(requests)));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(deleteOldCaches().then(() => self.clients.claim()));
});

async function deleteOldCaches() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

// Pages of an older version keep its files until the user accepts the update.
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
  const cached = await cache.match(request, {ignoreSearch: true});
  if (cached) return cached;
  if (request.mode === 'navigate') {
    const page = await cache.match('index.html');
    if (page) return page;
  }
  return fetch(request);
}
