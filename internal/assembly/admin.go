package assembly

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
	"github.com/polywire/polywire/internal/auth"
)

// door says who may ask the server for operators, or that for backends. Static after construction.
type door struct {
	config  *config.Admin // that it was made of
	access  *admin.Access
	methods *methods // of access; nil without auth
}

// serverSocket names the listener of a server, whose key in the configuration is admin or api, beside endpoints.
func serverSocket(key string) string { return "$" + key }

// addDoors makes the doors of the servers. One that listens since the start has the first address for life; with
// another address in the configuration it keeps its door too.
func (d *draft) addDoors() error {
	for key, c := range map[string]*config.Admin{"admin": &d.cfg.Admin, "api": &d.cfg.API} {
		if err := d.addDoor(key, c); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (d *draft) addDoor(key string, c *config.Admin) error {
	old := d.old.doors[key]
	switch {
	case old == nil && (d.serving || c.Listen == ""):
		return nil // a restart opens it
	case old != nil && c.Listen != old.config.Listen:
		d.doors[key] = old
		d.keepKeys(serverSocket(key))
		return nil
	}
	if err := d.doorTLS(key, old, c); err != nil {
		return err
	}
	if old != nil && reflect.DeepEqual(old.config, c) {
		d.doors[key] = old
		return nil
	}
	next, err := newDoor(key, c, d.log)
	if err != nil {
		return err
	}
	d.doors[key] = next
	d.onDiscard(next.methods.close)
	d.onStart(next.methods.start)
	if old != nil {
		d.onCommit(old.methods.close)
	}
	return nil
}

// doorTLS loads the keys of a server, or reads them again. With TLS turned on or off they stay: that needs a restart.
func (d *draft) doorTLS(key string, old *door, c *config.Admin) error {
	socket := serverSocket(key)
	if old != nil && (d.old.keys[socket] == nil || !c.TLS.On()) {
		d.keepKeys(socket)
		return nil
	}
	if !c.TLS.On() {
		return nil
	}
	k, err := d.keysOf(socket, socket, c.TLS)
	if err != nil {
		return err
	}
	k.endpoints = []string{socket}
	return nil
}

// keepKeys leaves the keys of a listener, if it has any, as they are.
func (d *draft) keepKeys(listener string) {
	if k := d.old.keys[listener]; k != nil {
		d.keys[listener] = k
	}
}

// newDoor makes the door of a server. It runs from the start of its methods until they are closed; after an error
// nothing is open.
func newDoor(key string, c *config.Admin, log *slog.Logger) (*door, error) {
	d := &door{config: c, access: &admin.Access{ReloadToken: c.ReloadToken}, methods: new(methods)}
	roles := rolesBy(&c.Allow)
	for _, t := range c.Tokens {
		role, ok := admin.RoleNames[t.Role]
		if !ok {
			role = roles(&core.Identity{Subject: t.Subject})
		}
		d.access.Tokens = append(d.access.Tokens, admin.Token{Digest: t.Hash, Subject: t.Subject, Role: role})
	}
	if len(c.Auth) > 0 {
		name := serverSocket(key)
		// Its webhook is counted for no endpoint.
		m, err := newMethods(&config.Endpoint{Name: name, Protocol: key, Auth: c.Auth}, new(core.Stats), log.With("endpoint", name))
		if err != nil {
			return nil, err
		}
		d.methods, d.access.Roles = m, roles
		d.access.Authenticator = auth.NewChain(false, m.list...)
	}
	return d, nil
}

// rolesBy returns which roles a configuration gives somebody.
func rolesBy(allow *config.Allow) func(*core.Identity) admin.Role {
	return func(id *core.Identity) (roles admin.Role) {
		for _, one := range []struct {
			role   admin.Role
			grants []config.Grant
		}{{admin.Read, allow.Read}, {admin.Publish, allow.Publish}, {admin.Operate, allow.Operate}} {
			for _, g := range one.grants {
				if isFor(g, id) {
					roles |= one.role
				}
			}
		}
		return roles
	}
}

// isFor reports whether somebody has all claims of a grant.
func isFor(g config.Grant, id *core.Identity) bool {
	for name, values := range g {
		claim := id.Claims[name]
		if name == "subject" {
			if claim = nil; id.Subject != "" {
				claim = id.Subject
			}
		}
		if !auth.HasValue(claim, values.List) {
			return false
		}
	}
	return len(g) > 0
}

// Access says who may ask a server, whose key in the configuration is admin or api, and what they may do.
func (p *Parts) Access(key string) *admin.Access {
	if d := p.state.Load().doors[key]; d != nil {
		return d.access
	}
	return new(admin.Access)
}

// ServerTLS returns what is spoken at the listener of a server, for its life; nil is without TLS.
func (p *Parts) ServerTLS(key string) *tls.Config {
	if k := p.state.Load().keys[serverSocket(key)]; k != nil {
		return k.source.Config()
	}
	return nil
}
