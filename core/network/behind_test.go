package network

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core/coretest"
)

// TestSealedBehindInput: ciphertext that comes while a connection is behind because of input
// that was kept as plaintext is decrypted before later input. Broken version: decrypt
// that does not note what it keeps (the next record overtakes it: bad record MAC).
func TestSealedBehindInput(t *testing.T) {
	r := startSecure(t, nil)
	c := r.dial(r.config(), nil)
	c.send("echo here")
	c.expect("here")
	on(t, r.hub.newest(), func(conn *conn) {
		conn.stepBack()
		c.send("echo first")
		b := make([]byte, recordSize)
		coretest.Eventually(t, "the record comes", func() bool {
			n, err := unix.Read(conn.socket.fd, b)
			if err == nil {
				conn.decrypt(b[:n])
			}
			return err == nil
		})
	})
	c.send("echo second")
	c.expect("first")
	c.expect("second")
}
