// A page with what hydrogen-view-sdk has of a client: who logs in is in its address, the test says which room is shown.
import {
  Client,
  createNavigation,
  createRouter,
  FeatureSet,
  LoadStatus,
  Platform,
  RoomViewModel,
  TimelineView,
  viewClassForTile,
} from 'hydrogen-view-sdk'

const { homeserver, user, password } = Object.fromEntries(new URLSearchParams(location.search))
const container = document.querySelector('#app')
const platform = new Platform({
  container,
  assetPaths: {
    downloadSandbox: '/hydrogen-view-sdk/asset-build/assets/download-sandbox.html',
    worker: '/hydrogen-view-sdk/asset-build/assets/main.js',
    serviceWorker: '/sw.js',
    olm: {
      wasm: '/@matrix-org/olm/olm.wasm',
      wasmBundle: '/@matrix-org/olm/olm.js',
      legacyBundle: '/@matrix-org/olm/olm_legacy.js',
    },
  },
  config: {},
  options: { development: false },
})

async function logIn() {
  const navigation = createNavigation()
  platform.setNavigation(navigation)
  await platform.init()
  const urlRouter = createRouter({ navigation, history: platform.history })
  urlRouter.attach()
  const client = new Client(platform)
  const login = await client.queryLogin(homeserver).result
  client.startWithLogin(login.password(user, password))
  await client.loadStatus.waitFor((status) => {
    if (status === LoadStatus.AccountSetup) client.accountSetup.finish(client.accountSetup.encryptedDehydratedDevice)
    return [LoadStatus.Ready, LoadStatus.Error, LoadStatus.LoginFailed].includes(status)
  }).promise
  const failure = client.loginFailure ?? client.loadError
  if (failure) throw failure
  const { session } = client
  const features = await FeatureSet.load(platform.settingsStorage)
  return { session, navigation, urlRouter, features }
}

const loggedIn = logIn()

window.app = {
  async userId() {
    return (await loggedIn).session.userId
  },

  /** Resolves when the room and what was said last in it is on the page. */
  async show(roomId) {
    const { session, navigation, urlRouter, features } = await loggedIn
    const room = session.rooms.get(roomId)
    const ownUserId = session.userId
    const model = new RoomViewModel({ room, ownUserId, platform, urlRouter, navigation, features })
    await model.load()
    const title = document.createElement('h2')
    title.textContent = `${model.name}${model.isEncrypted ? ' (encrypted)' : ''}`
    container.replaceChildren(title, new TimelineView(model.timelineViewModel, viewClassForTile).mount())
    window.app.send = (text) => model.composerViewModel.sendMessage(text)
  },

  /** As somebody does who wants to read what was said before: up, whenever there is more. */
  lookUp() {
    const scroller = container.querySelector('.Timeline_scroller')
    const up = () => {
      scroller.scrollTop = 0
    }
    new MutationObserver(up).observe(scroller, { childList: true, subtree: true })
    up()
  },
}
