// Package auth decides who a client is, whether it may connect and what it may do: the
// implementations of core's Authenticator, Access and Authorizer.
//
//   - Who it is: a [Chain] of methods, each of which looks for a credential of its kind
//     ([Tokens], [JWT], [Basic], [Certificate], [WebhookMethod]).
//   - What it may do: [Rules], lists of patterns for each right.
//   - What only an application knows: an HTTP server is asked, with wsify's contract
//     ([Webhook]), or also with a memory and a policy for its outages ([Authorizer]).
package auth
