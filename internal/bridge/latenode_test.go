package bridge_test

import (
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/bridge"
)

// opening is a format whose clients say that they are upgraded.
type opening struct {
	core.ClientFormat
	upgraded chan<- struct{}
}

func (o *opening) NewClientCodec() core.ClientCodec {
	return &openingCodec{o.ClientFormat.NewClientCodec(), o.upgraded}
}

type openingCodec struct {
	core.ClientCodec
	upgraded chan<- struct{}
}

func (c *openingCodec) Open(func(core.Frame)) { c.upgraded <- struct{}{} }

// A bridge that leads to a node of its own cluster ends when the two know of each other, also if that is
// between the upgrade and the greeting; it connects when that server is no node any more.
func TestNodeJoinsLate(t *testing.T) {
	const mark, acceptConf = "there", 23
	shown := http.Header{core.BridgeHeader: {idOf(mark)}}
	for name, greets := range map[string]bool{"while it is connected": true, "while it connects": false} {
		t.Run(name, func(t *testing.T) {
			upgraded, greet := make(chan struct{}, 100), make(chan struct{})
			if greets {
				close(greet)
			}
			server := listens(t, func() http.Header { return shown }, func(n int, conn net.Conn) {
				if n == 1 {
					<-greet
				}
				hello := binary.LittleEndian.AppendUint32([]byte{acceptConf, 2, 0}, 60_000)
				if wsutil.WriteServerMessage(conn, ws.OpBinary, binary.LittleEndian.AppendUint32(hello, 1<<20)) == nil {
					untilGone(conn)
				}
			})
			neighbours := bridge.NewNeighbours("here")
			b, _ := alone(t, server, bridge.Options{
				Neighbours: neighbours, Format: &opening{formatOf(t, webwire.Protocol()), upgraded}, Hear: []string{"a"}, Tell: []string{"a"},
			})
			coretest.Receive(t, "an upgrade", upgraded)
			if greets {
				coretest.Eventually(t, "it is connected", func() bool { return b.Health() == nil })
			}
			neighbours.NodeJoined(mark)
			if !greets {
				close(greet)
			}
			coretest.Eventually(t, "it ends", func() bool {
				err := b.Health()
				return err != nil && strings.Contains(err.Error(), "leads to the broker itself")
			})
			neighbours.NodeGone(mark)
			coretest.Eventually(t, "it connects", func() bool { return b.Health() == nil })
		})
	}
}
