// Package stocking is the wire format of stocking (docs/formats/stocking.md): text frames of
// three fields, "type,code,content". Only the first two commas separate.
//
//	C→S  0,*,*                       connect; ignored
//	     1,*,*                       error; ignored
//	     2,*,*  or 2                 close
//	     3,*,*  or 3                 ping
//	     4,CODE,{"e":ROUTE,"p":ANY}  call a route; code 0 wants no answer
//	     5,ROOM,TEXT                 broadcast to the others in a room
//	     6,1,ROOM  6,0,ROOM          join, leave
//	S→C  0                           once, when the connection is made
//	     3                           the answer to a ping
//	     4,CODE,{"c":-1,"p":RESULT}  the result of a call
//	     4,CODE,{"c":0,"p":"TEXT"}   the failure of a call
//	     4,CODE,                     a call that returned nothing
//	     5,ROOM,TEXT                 a broadcast, as it was sent
//	     1,0,TEXT                    a broadcast that reached nobody, or was refused
//
// A room is a topic, a route is a service. A comma in a topic is written %2C where
// a room name stands between commas (see room.go).
package stocking
