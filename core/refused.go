package core

import "context"

type refusedKey struct{}

// WithRefused returns a context for a plain HTTP request that a format answers: told is
// called when the format refuses the request.
func WithRefused(ctx context.Context, told func(Reason)) context.Context {
	return context.WithValue(ctx, refusedKey{}, told)
}

// Refused reports to the caller of WithRefused that a format refuses the plain HTTP request
// of ctx, and why, for the log. The format has counted the refusal in its [Stats] already.
func Refused(ctx context.Context, r Reason) {
	if told, ok := ctx.Value(refusedKey{}).(func(Reason)); ok {
		told(r)
	}
}
