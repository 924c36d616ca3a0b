package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// secureRow is one contender with TLS: medians over the rounds.
type secureRow struct {
	Server string
	// CPU is the server's processor time per delivery in microseconds, by messages in flight;
	// CPURatio is that over the reference's in the same round.
	CPU, CPURatio map[int]float64
	// Bytes is resident memory per idle subscriber; 0 if it was not measured.
	Bytes, BytesRatio float64
}

// The targets of the broker with TLS, relative to the reference.
const (
	targetSecureCPU    = 1.0
	targetSecureWeight = 0.5
)

// secureContenders returns the reference and the broker, each with TLS.
func secureContenders(broker, peers string, k keyPair) []contender {
	hub, d := sized(plainHub), sized(vws)
	f := format{"vws", fmt.Sprintf(", options: { allow_send: true }, tls: { cert: %q, key: %q }", k.cert, k.key), vws}
	gorilla := func(string) (*exec.Cmd, netip.AddrPort, error) {
		cmd := exec.Command(filepath.Join(peers, "gorilla"), "-listen", "127.0.0.1:0", "-cert", k.cert, "-key", k.key)
		return cmd, netip.AddrPort{}, nil
	}
	return []contender{
		{server{reference, gorilla}, hub, []dialect{hub}},
		{server{"broker vws", serve(broker, "", f)}, d, []dialect{d}},
	}
}

// keyPair are the files of a certificate and its key.
type keyPair struct{ cert, key string }

// newKeyPair makes a certificate for loopback.
func newKeyPair(dir string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return keyPair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	k := keyPair{filepath.Join(dir, "tls.pem"), filepath.Join(dir, "tls.key")}
	if err := os.WriteFile(k.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return k, err
	}
	return k, os.WriteFile(k.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

// runSecure measures the contenders with TLS and prints the figures.
func runSecure(ctx context.Context, p plan, broker, peers string) error {
	p.subscribers = []int{targetSubscribers}
	return p.inFolder(func(b bench) error {
		rows, err := b.secureRows(ctx, broker, peers)
		if err != nil {
			return err
		}
		return printSecure(os.Stdout, rows, p.inFlight)
	})
}

// secureRows measures the contenders in turns.
func (b *bench) secureRows(ctx context.Context, broker, peers string) ([]secureRow, error) {
	k, err := newKeyPair(b.dir)
	if err != nil {
		return nil, fmt.Errorf("making certificate: %w", err)
	}
	servers := secureContenders(broker, peers, k)
	rows := make([]secureRow, len(servers))
	cpu := make([]map[int][]float64, len(servers))
	for i, c := range servers {
		rows[i] = secureRow{Server: c.name, CPU: map[int]float64{}, CPURatio: map[int]float64{}}
		cpu[i] = make(map[int][]float64)
	}
	for range b.plan.rounds {
		for i, c := range servers {
			if err := b.secureFanOut(ctx, c, cpu[i]); err != nil {
				return nil, fmt.Errorf("measuring %s with TLS: %w", c.name, err)
			}
		}
	}
	for i, c := range servers {
		for _, n := range b.plan.inFlight {
			ratios := make([]float64, len(cpu[i][n]))
			for round, value := range cpu[i][n] {
				ratios[round] = value / cpu[0][n][round]
			}
			rows[i].CPURatio[n] = median(ratios)
		}
		if b.plan.idle > 0 {
			if rows[i].Bytes, err = b.secureWeigh(ctx, c); err != nil {
				return nil, fmt.Errorf("weighing %s with TLS: %w", c.name, err)
			}
			rows[i].BytesRatio = rows[i].Bytes / rows[0].Bytes
		}
	}
	for i := range rows { // not before: a median sorts
		for n, values := range cpu[i] {
			rows[i].CPU[n] = median(values)
		}
	}
	return rows, nil
}

// secureFanOut starts c anew and appends the CPU per delivery for each number in flight.
func (b *bench) secureFanOut(ctx context.Context, c contender, cpu map[int][]float64) error {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return err
	}
	defer p.stop()
	l, err := newSecureLoad(ctx, addr, c, b.plan.subscribers[0])
	if err != nil {
		return err
	}
	defer l.close()
	for _, n := range b.plan.inFlight {
		if _, err := l.run(n, b.plan.warmUp); err != nil {
			return err
		}
		before, err := p.cpu()
		if err != nil {
			return err
		}
		deliveries, err := l.run(n, b.plan.window)
		if err != nil {
			return err
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		cpu[n] = append(cpu[n], micros(after-before)/float64(deliveries))
	}
	return nil
}

// secureWeigh returns the memory of one idle subscriber of c with TLS, in bytes.
func (b *bench) secureWeigh(ctx context.Context, c contender) (float64, error) {
	return b.growth(ctx, c, func(addr netip.AddrPort, n int) (func(), error) {
		l, err := newSecureLoad(ctx, addr, c, n)
		if err != nil {
			return nil, err
		}
		return l.close, nil
	})
}

// printSecure writes the rows as a table.
func printSecure(to io.Writer, rows []secureRow, inFlight []int) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nwith TLS\tin flight\tCPU µs/delivery\tof %s\ttarget\t\n", reference)
	bound := func(server string, target float64) float64 {
		if ours(server) {
			return target
		}
		return 0
	}
	for _, r := range rows {
		for _, n := range inFlight {
			fmt.Fprintf(t, "%s\t%d\t%.3f\t%.3f\t%s\n", r.Server, n, r.CPU[n], r.CPURatio[n],
				verdict("<= %.2f\t%s", r.CPURatio[n], bound(r.Server, targetSecureCPU)))
		}
	}
	fmt.Fprintf(t, "\nidle with TLS\tKiB resident\tof %s\ttarget\t\n", reference)
	for _, r := range rows {
		if r.Bytes > 0 {
			fmt.Fprintf(t, "%s\t%.2f\t%.3f\t%s\n", r.Server, r.Bytes/1024, r.BytesRatio,
				verdict("<= %.2f\t%s", r.BytesRatio, bound(r.Server, targetSecureWeight)))
		}
	}
	return t.Flush()
}
