package network

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// Go's client neither updates keys nor renegotiates, so the tests of this file write
// such records themselves, with the secrets that the client logs.

// Record types and handshake messages (RFC 8446, sections 4 and 5.1).
const (
	handshakeRecord, dataRecord = 22, 23
	keyUpdateMessage            = 24
)

// loggedSecret finds a secret in what a tls.Config logged.
func loggedSecret(t *testing.T, log *bytes.Buffer, label string) (random, secret []byte) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == label {
			random, _ = hex.DecodeString(fields[1])
			secret, _ = hex.DecodeString(fields[2])
			return random, secret
		}
	}
	t.Fatalf("no %s is logged", label)
	return nil, nil
}

// trafficKeys protect one direction of TLS 1.3 with AES_128_GCM_SHA256 (RFC 8446,
// sections 5 and 7.3).
type trafficKeys struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func newTrafficKeys(secret []byte) *trafficKeys {
	block, _ := aes.NewCipher(expandLabel(secret, "key", 16))
	aead, _ := cipher.NewGCM(block)
	return &trafficKeys{secret: secret, aead: aead, iv: expandLabel(secret, "iv", 12)}
}

func expandLabel(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := append([]byte{0, byte(size), byte(len(label))}, label...)
	out, _ := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
	return out
}

func (k *trafficKeys) update() { *k = *newTrafficKeys(expandLabel(k.secret, "traffic upd", 32)) }

func (k *trafficKeys) nonce() []byte {
	nonce := bytes.Clone(k.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(k.seq >> (56 - 8*i))
	}
	k.seq++
	return nonce
}

// record returns a protected record.
func (k *trafficKeys) record(kind byte, data []byte) []byte {
	head := binary.BigEndian.AppendUint16([]byte{dataRecord, 3, 3}, uint16(len(data)+1+k.aead.Overhead()))
	return k.aead.Seal(bytes.Clone(head), k.nonce(), append(bytes.Clone(data), kind), head)
}

// recordClient is a client of TLS 1.3 after its handshake, record by record.
type recordClient struct {
	*client
	in, out *trafficKeys
	updates int // key updates of the server
	data    []byte
}

func (r *secureRig) dialRecords(receiveBuffer int) *recordClient {
	r.t.Helper()
	t := r.t.(*testing.T)
	var log bytes.Buffer
	config := r.config()
	config.KeyLogWriter = &log
	var socket net.Conn
	c, err := r.shakeHands(config, func(nc net.Conn) net.Conn {
		if socket = nc; receiveBuffer > 0 {
			_ = nc.(*net.TCPConn).SetReadBuffer(receiveBuffer)
		}
		return nc
	})
	if err != nil {
		t.Fatal(err)
	}
	if suite := c.Conn.(*tls.Conn).ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the server chose %s; the test writes AES_128_GCM alone", tls.CipherSuiteName(suite))
	}
	_, in := loggedSecret(t, &log, "SERVER_TRAFFIC_SECRET_0")
	_, out := loggedSecret(t, &log, "CLIENT_TRAFFIC_SECRET_0")
	rc := &recordClient{in: newTrafficKeys(in), out: newTrafficKeys(out)}
	rc.client = &client{t, &recordConn{socket, rc}}
	rc.write([]byte(upgradeRequest()))
	rc.readResponse("HTTP/1.1 101 ")
	return rc
}

// recordConn reads and writes data records.
type recordConn struct {
	net.Conn
	*recordClient
}

func (c *recordConn) Write(b []byte) (int, error) {
	return c.Conn.Write(c.out.record(dataRecord, b))
}

func (c *recordConn) Read(b []byte) (int, error) {
	for len(c.data) == 0 {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return 0, err
		}
		body := make([]byte, binary.BigEndian.Uint16(head[3:]))
		if _, err := io.ReadFull(c.Conn, body); err != nil {
			return 0, err
		}
		plain, err := c.in.aead.Open(nil, c.in.nonce(), body, head)
		if err != nil {
			return 0, err
		}
		switch data, kind := plain[:len(plain)-1], plain[len(plain)-1]; {
		case kind == dataRecord:
			c.data = data
		case kind == handshakeRecord && data[0] == keyUpdateMessage:
			c.updates++
			c.in.update()
		}
	}
	n := copy(b, c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *recordConn) Close() error { return c.Conn.Close() }

// updateKeys sends a key update, in records of at most size bytes.
func (c *recordClient) updateKeys(request bool, size int) []byte {
	message := []byte{keyUpdateMessage, 0, 0, 1, 0}
	if request {
		message[4] = 1
	}
	var records []byte
	for len(message) > 0 {
		n := min(size, len(message))
		records = append(records, c.out.record(handshakeRecord, message[:n])...)
		message = message[n:]
	}
	c.out.update()
	return records
}

func TestSecureKeyUpdates(t *testing.T) {
	r := startSecure(t, func(_ *Options, ep *Endpoint) { ep.TLS.SessionTicketsDisabled = true })
	c := r.dialRecords(0)
	socket := c.Conn.(*recordConn).Conn
	want := 0
	for i, request := range []bool{true, false, true, true, false} {
		for _, size := range []int{5, 2} {
			if request {
				want++
			}
			for _, b := range c.updateKeys(request, size) {
				if _, err := socket.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			text := strings.Repeat("k", 1000*i)
			c.send("echo " + text)
			c.expect(text)
			if c.updates != want {
				t.Fatalf("the server updated its keys %d times, want %d", c.updates, want)
			}
		}
	}
}

// TestSecureKeyUpdateFlood: a client that requests key updates and does not read the answers
// is cut. Broken version: without maxAnswers the answers pile up. (With much smaller buffers
// the kernel may drop the packets of both sides for many seconds.)
func TestSecureKeyUpdateFlood(t *testing.T) {
	r := startSecure(t, func(o *Options, ep *Endpoint) {
		ep.TLS.SessionTicketsDisabled = true
		o.SendBuffer = 32 << 10
	})
	c := r.dialRecords(64 << 10)
	socket := c.Conn.(*recordConn).Conn
	_ = socket.SetDeadline(time.Now().Add(2 * time.Minute))
	for range 60_000 {
		// Data in between, otherwise the tls.Conn itself rejects the updates as useless.
		b := append(c.updateKeys(true, 5), c.out.record(dataRecord, masked(ws.OpPong, true, ""))...)
		if _, err := socket.Write(b); err != nil {
			break
		}
	}
	// A kernel with a full receive buffer may drop what would acknowledge the updates: so
	// a little is read, far less than is answered.
	some := make([]byte, 4<<10)
	eventually(t, "the connection is cut", func() bool {
		_ = socket.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, _ = socket.Read(some)
		return r.stats.Closed[core.ReasonSlow].Load() == 1
	})
}

// TestSecureRenegotiation: TLS 1.2 has it, and it is refused.
func TestSecureRenegotiation(t *testing.T) {
	r := startSecure(t, nil)
	var log bytes.Buffer
	config := r.config()
	config.KeyLogWriter, config.MaxVersion = &log, tls.VersionTLS12
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	var rec recordLog
	c := r.dial(config, func(nc net.Conn) net.Conn { rec.Conn = nc; return &rec })
	clientRandom, master := loggedSecret(t, &log, "CLIENT_RANDOM")
	// The first record is the ServerHello: 5 + 4 bytes of heads, 2 of version, 32 random.
	serverRandom := rec.all[11:43]
	block := expandKeys(master, serverRandom, clientRandom)
	key, _ := aes.NewCipher(block[:16])
	aead, _ := cipher.NewGCM(key)
	const seq = 2 // behind Finished and the upgrade request
	hello := clientHello(t, r.config())[5:]
	explicit := binary.BigEndian.AppendUint64(nil, seq)
	head := []byte{handshakeRecord, 3, 3}
	aad := binary.BigEndian.AppendUint16(append(bytes.Clone(explicit), head...), uint16(len(hello)))
	sealed := aead.Seal(nil, append(bytes.Clone(block[32:36]), explicit...), hello, aad)
	record := binary.BigEndian.AppendUint16(head, uint16(len(explicit)+len(sealed)))
	if _, err := rec.Conn.Write(append(append(record, explicit...), sealed...)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "remote error: tls: unexpected message") {
		t.Errorf("the answer to a new ClientHello is %v, want an alert", err)
	}
	_ = c.Close()
	eventually(t, "the end is counted", func() bool { return r.stats.Closed[core.ReasonTLS].Load() == 1 })
}

// expandKeys returns the key block of AES_128_GCM: two keys and two IVs (RFC 5246,
// sections 5 and 6.3).
func expandKeys(master, serverRandom, clientRandom []byte) []byte {
	seed := append(append([]byte("key expansion"), serverRandom...), clientRandom...)
	digest := func(b ...[]byte) []byte {
		h := hmac.New(sha256.New, master)
		for _, b := range b {
			h.Write(b)
		}
		return h.Sum(nil)
	}
	var block []byte
	for a := digest(seed); len(block) < 40; a = digest(a) {
		block = append(block, digest(a, seed)...)
	}
	return block
}
