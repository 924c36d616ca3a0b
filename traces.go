package polywire

import "github.com/polywire/polywire/internal/admin"

type (
	// MessageTrace says who would hear a message and who not, in the answers of the admin server; docs/admin.md.
	MessageTrace = admin.MessageTrace
	// ServiceTrace says who would answer a call.
	ServiceTrace = admin.ServiceTrace
	// Diagnosis says why a client hears nothing.
	Diagnosis = admin.Diagnosis
	// Step is something that was looked at.
	Step = admin.Step
)
