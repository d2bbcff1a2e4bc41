// Registers the service worker, which makes the app available offline, and offers updates.
import {element} from './dom.js';

/** Register the service worker; insecure pages have none. */
export async function registerWorker() {
  const report = (text) => {
    element('about-app').textContent = `${text} No data leaves this device. Runs on ${LITERT}.`;
  };
  offerInstallation();
  if (!navigator.serviceWorker) {
    report("This app needs a connection: over plain http, or in this browser, it can't be stored.");
    return;
  }
  try {
    const registration = await navigator.serviceWorker.register('sw.js', {updateViaCache: 'none'});
    if (registration.waiting && registration.active) offerUpdate(registration);
    registration.addEventListener('updatefound', () => {
      const {installing} = registration;
      installing.addEventListener('statechange', () => {
        if (installing.state === 'installed' && registration.active) offerUpdate(registration);
      });
    });
    await navigator.serviceWorker.ready;
    report('This app is stored on this device and works offline.');
    document.body.dataset.offline = 'ready';
  } catch (error) {
    report(`This app needs a connection: it could not be stored (${error.message}).`);
  }
}

function offerUpdate(registration) {
  element('update').hidden = false;
  element('update-reload').onclick = () => {
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
    registration.waiting?.postMessage('take over'); // understood by workers of every version
  };
}

function offerInstallation() {
  window.addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault();
    const button = element('install');
    button.hidden = false;
    button.onclick = async () => {
      await event.prompt();
      button.hidden = true;
    };
  });
}
