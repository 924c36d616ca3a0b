package main

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

// The destinations. What stands behind the prefix is the topic or service, as it is.
const (
	topicPrefix      = "/topic/"       // all subscribers of the topic
	patternPrefix    = "/pattern/"     // all topics that match, to SUBSCRIBE only
	queuePrefix      = "/queue/"       // one of the answerers of the service
	tempQueuePrefix  = "/temp-queue/"  // the sender itself, in reply-to
	replyQueuePrefix = "/reply-queue/" // the caller that waits for the answer to a request, to SEND only
)

var (
	errDestination = malformed("a destination is /topic/NAME, /queue/NAME, /pattern/PATTERN to subscribe to, " +
		"/temp-queue/NAME in reply-to, or the reply-to of a request")
	errReplyTo = malformed("reply-to is /temp-queue/NAME")
)

// cutDestination splits a destination into its prefix and the name behind it.
func cutDestination(destination []byte) (prefix string, name []byte, err error) {
	for _, prefix := range [...]string{topicPrefix, patternPrefix, queuePrefix, tempQueuePrefix, replyQueuePrefix} {
		if name, found := bytes.CutPrefix(destination, []byte(prefix)); found && len(name) > 0 {
			return prefix, name, nil
		}
	}
	return "", nil, errDestination
}

// destinationOf returns the destination of f taken apart.
func destinationOf(f *frame) (prefix string, name []byte, err error) {
	destination, err := f.need("destination")
	if err != nil {
		return "", nil, err
	}
	return cutDestination(destination)
}

// replyID returns the id of the request whose reply-to had this name. For any other name it
// is the id of no call: the engine knows no such request.
func replyID(name []byte) core.CallID {
	id, _ := core.ParseCallID(name)
	return id
}
