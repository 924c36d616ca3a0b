package webwire

import "github.com/polywire/polywire/core"

var _ core.Dissector = (*Format)(nil)

// sessionKeys are the members of a session's JSON with its key.
var sessionKeys = []string{"k"}

// Dissect finds payloads and the keys of sessions.
func (*Format) Dissect(fromServer bool, f core.Frame) core.Dissection {
	all := core.Dissection{Start: len(f.Data)}
	m, err := parse(f.Data)
	if f.Kind != core.BinaryFrame || err != nil {
		return core.Dissection{}
	}
	switch m.kind {
	case typeHeartbeat:
		return core.Dissection{Start: len(f.Data), Idle: !fromServer}
	case typeSignal, typeRequest:
		return core.Dissection{Start: len(f.Data) - len(m.payload), Wide: m.encoding == asUTF16}
	case typeRestoreSession:
		return core.Dissection{Start: refSize, Key: true}
	case typeSessionCreated:
		return core.Dissection{Start: 1, Keys: sessionKeys}
	case typeReply, typeReply + byte(asUTF8), typeErrorReply:
		// What a reply belongs to is not known here: it may be a session.
		return core.Dissection{Start: refSize, Keys: sessionKeys}
	case typeReply + byte(asUTF16):
		return core.Dissection{Start: refSize + 1, Wide: true}
	}
	return all
}
