// Package redis joins the nodes of a cluster by Redis.
package redis
