package core

import "context"

type refusedKey struct{}

// WithRefused returns a context for a request of plain HTTP that a format answers: told
// is called when the format refuses the request.
func WithRefused(ctx context.Context, told func(Reason)) context.Context {
	return context.WithValue(ctx, refusedKey{}, told)
}

// Refused tells whoever handed a format a request of plain HTTP that it is refused, and
// why, for the log; the format has counted that in its [Stats]. ctx is the request's.
func Refused(ctx context.Context, r Reason) {
	if told, ok := ctx.Value(refusedKey{}).(func(Reason)); ok {
		told(r)
	}
}
