// Healthy is the primary of the replica set, or a secondary of it. A server that was started for the first time is in no
// set yet: the set is begun here, with this server alone, under the name by which the nodes reach it.
const NOT_YET_INITIALIZED = 94;

db.getSiblingDB("admin").auth("root", process.env.MONGO_INITDB_ROOT_PASSWORD);
try {
  db.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.code !== NOT_YET_INITIALIZED) throw error;
  rs.initiate({ _id: "carillon", members: [{ _id: 0, host: "mongodb:27017" }] });
}
const { setName, isWritablePrimary, secondary } = db.hello();
quit(setName === "carillon" && (isWritablePrimary || secondary) ? 0 : 1);
