package certs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// look is the result of a look at files.
type look struct {
	digest    digest
	complaint string // what was logged about it
}

// Watch looks at the files until ctx ends, and swaps what has changed. It is called
// once.
func (s *Source) Watch(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.look()
		}
	}
}

// look looks at all files once. Each pair and the authorities are swapped independently: a
// broken one does not keep the others from being renewed.
func (s *Source) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for i := range s.settings.Pairs {
		changed = s.lookAtPair(i) || changed
	}
	if s.settings.ClientCA != "" {
		changed = s.lookAtAuthorities() || changed
	}
	if changed {
		s.swap()
	}
}

// lookAtPair reports whether a pair was renewed. The caller holds mu.
func (s *Source) lookAtPair(i int) bool {
	p, used := s.settings.Pairs[i], &s.loaded.pairs[i]
	setting := fmt.Sprintf("certificates.%d", i)
	cert, key, err := p.read()
	if err != nil {
		s.complain(setting, p.Cert, digest{}, err)
		return false
	}
	found := digestPair(cert, key)
	if !s.settled(setting, found, used.digest) {
		return false
	}
	renewed, err := parsePair(cert, key)
	if err != nil {
		s.complain(setting, p.Cert, found, err)
		return false
	}
	*used = renewed
	leaf := renewed.cert.Leaf
	s.log.Info("certificate is swapped", "cert", p.Cert, "names", names(leaf), "expires", leaf.NotAfter)
	s.warnExpired(leaf)
	return true
}

// lookAtAuthorities reports whether the authorities of clients were renewed. The caller
// holds mu.
func (s *Source) lookAtAuthorities() bool {
	const setting = "client_ca"
	data, err := readFile(s.settings.ClientCA)
	if err != nil {
		s.complain(setting, s.settings.ClientCA, digest{}, err)
		return false
	}
	found := digest(sha256.Sum256(data))
	if !s.settled(setting, found, s.loaded.caDigest) {
		return false
	}
	pool, err := parseAuthorities(data)
	if err != nil {
		s.complain(setting, s.settings.ClientCA, found, err)
		return false
	}
	s.loaded.authorities, s.loaded.caDigest = pool, found
	s.log.Info("authorities of client certificates are swapped", "client_ca", s.settings.ClientCA)
	return true
}

// settled reports whether the content found now differs from the one in use, and is the same
// as at the last look: a file that is being written is left alone. The caller holds mu.
func (s *Source) settled(setting string, found, used digest) bool {
	last, ok := s.looks[setting]
	if ok && last.digest == found {
		return found != used
	}
	s.looks[setting] = look{digest: found}
	return false
}

// complain logs, once, why the content that was found is not used. The caller holds mu.
func (s *Source) complain(setting, file string, found digest, err error) {
	if f, ok := errors.AsType[*Fault](err); ok && f.Setting == "key" {
		err = fmt.Errorf("its key: %w", f.Err)
	} else if ok {
		err = f.Err
	}
	text := err.Error()
	if s.looks[setting].complaint == text {
		return
	}
	s.looks[setting] = look{digest: found, complaint: text}
	s.log.Warn("changed file cannot be used; what it held before stays in use", "file", file, "error", err)
}
