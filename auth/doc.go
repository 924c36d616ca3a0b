// Package auth decides who may connect and what a client may do: the
// implementations of core's Authorizer.
package auth
