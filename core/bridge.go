package core

// BridgeHeader is the field of an upgrade request in which a bridge shows whose it is, and of the
// response in which the server shows who it is. Who is no bridge does not send it, and a server that
// does not know it does not answer it.
const BridgeHeader = "Polywire-Bridge"
