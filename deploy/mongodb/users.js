// Run once, when the volume is empty: the hub's user, who may do in the hub's database what the hub does, and nothing
// elsewhere. dbAdmin is for validators, which migrations bring up to date.
db.getSiblingDB("carillon").createUser({
  user: "carillon",
  pwd: process.env.HUB_MONGODB_PASSWORD,
  roles: ["readWrite", "dbAdmin"],
});
