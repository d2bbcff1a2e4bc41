// The service worker: the app without a connection, and its updates.
import {element} from './dom.js';

/** Register it where there is one: secure pages only. */
export async function registerWorker() {
  const say = (text) => {
    element('about-app').textContent = `${text} Nothing is sent anywhere. It runs on ${LITERT}.`;
  };
  offerInstallation();
  if (!navigator.serviceWorker) {
    say('It needs a connection: this browser, or this insecure address, can not keep it.');
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
    say('It is kept on this device and works without a connection.');
    document.body.dataset.offline = 'ready';
  } catch (error) {
    say(`It needs a connection: it could not be kept on this device (${error.message}).`);
  }
}

function offerUpdate(registration) {
  element('update').hidden = false;
  element('update-reload').onclick = () => {
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
    registration.waiting?.postMessage('take over');
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
