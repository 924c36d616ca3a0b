package auth

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// Lists say on which topics a client has one right: on those that Allow lists, except those
// that Deny lists. Deny without Allow allows the rest; without both, nothing is allowed.
type Lists struct {
	Allow, Deny []core.Template
}

// ACL says what clients may do.
type ACL struct {
	Publish, Subscribe, Call, Serve, PublishOwned Lists
}

// Rules are the core.Access of an ACL; without one they allow all but core.MayPublishOwned.
// They can be replaced while clients are connected; the new rules judge what clients do
// next. Any goroutine.
type Rules struct {
	lists atomic.Pointer[[core.MayPublishOwned + 1]Lists]
}

var _ core.NamingAccess = (*Rules)(nil)

// NewRules returns the rules of an ACL, which is not changed after that; nil is none.
func NewRules(acl *ACL) *Rules {
	r := new(Rules)
	r.Replace(acl)
	return r
}

// Replace replaces the rules. Existing subscriptions are not judged again.
func (r *Rules) Replace(acl *ACL) {
	if acl == nil {
		all := Lists{Deny: []core.Template{}}
		acl = &ACL{Publish: all, Subscribe: all, Call: all, Serve: all}
	}
	r.lists.Store(&[...]Lists{
		core.MayPublish:      acl.Publish,
		core.MaySubscribe:    acl.Subscribe,
		core.MayCall:         acl.Call,
		core.MayServe:        acl.Serve,
		core.MayPublishOwned: acl.PublishOwned,
	})
}

// May reports whether the rules allow something. A pattern is allowed only if all that it
// can match is allowed. A topic causes no allocation.
func (r *Rules) May(by *core.Identity, right core.Right, topic []byte, pattern bool) bool {
	l := &r.lists.Load()[right]
	if pattern {
		return l.mayHear(by, string(topic))
	}
	for i := range l.Deny {
		if l.Deny[i].Match(by, topic) {
			return false
		}
	}
	for i := range l.Allow {
		if l.Allow[i].Match(by, topic) {
			return true
		}
	}
	return l.allowRest()
}

// Named reports whether a list allows something, instead of nothing forbidding it.
func (r *Rules) Named(by *core.Identity, right core.Right, topic []byte, pattern bool) bool {
	return r.lists.Load()[right].Allow != nil && r.May(by, right, topic, pattern)
}

func (l *Lists) mayHear(by *core.Identity, pattern string) bool {
	for i := range l.Deny {
		if l.Deny[i].Overlaps(by, pattern) {
			return false
		}
	}
	for i := range l.Allow {
		if l.Allow[i].Contains(by, pattern) {
			return true
		}
	}
	return l.allowRest()
}

// allowRest reports whether what no list mentions is allowed.
func (l *Lists) allowRest() bool { return l.Allow == nil && l.Deny != nil }
