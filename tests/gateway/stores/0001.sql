BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_keys (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	key_sha256 VARCHAR(64) NOT NULL, 
	key_prefix VARCHAR(12) NOT NULL, 
	created_at_ms BIGINT NOT NULL, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT uq_api_keys_key_sha256 UNIQUE (key_sha256)
);
INSERT INTO "api_keys" VALUES('102455e50c6746ebad2cac9815a26cc8','first key','dc6e830e4430a8c983b1bb769bc0f8f36ecf5b1e3dda3d7272a57f4868c87743','cmk_7ed60279',1795488961514);
CREATE TABLE batches (
	id INTEGER NOT NULL, 
	run_id VARCHAR(32) NOT NULL, 
	worker_id VARCHAR(32) NOT NULL, 
	second INTEGER NOT NULL, 
	rows INTEGER NOT NULL, 
	frame BLOB NOT NULL, 
	CONSTRAINT pk_batches PRIMARY KEY (id)
);
INSERT INTO "batches" VALUES(1,'9a0d0abd2e7743bda0d0148a435a4a8b','8f7dee4cf2654f08888c35b8315d7a28',1,2,X'434D5753010100000300000000000000EB02000078017591CB4E02311486AB5B4890440C788B0F6008CA1870830E1B60E71B349D698B83CCC5B6831716BA7263E2167724AE882F60E24EDF42DF40E3CAA531D1CE30AD04E2E2346DFFEFFFCF49BBB18B4AB8842CBC4D2A15A36CE1E8B865549151DE4106AA5A7300800BDC4FDDC9CDBCDCE7640110DDA618B189D32345D7E734FF7DBD1FD582BA6490225BF88CEEA51FEA516595D27184200CBA9C828FDB1A483FD716951420FB88080EBB3E17ADB8915C724AA54C263ABE17CB7446E69CD9909F38C23E245CBBB39C78B8A882E541B4B0B4469557C14A4DCE581399D86C9D09C2616CBDAC0110D592B28E356D547A61A62B6448101870FAFAD4ACD75E9AF5551531D1BD3743E5A726180396CC39F83C6FDC64FA8D1595A347495226A182827018741D3B1E65FCD6FAA1F43C7E28A04FA1CFB0FCA564384DADAB204E8E43E2D9047AA16B4990112E7F4E736BFF719DD00DFEB06585A15E3BE905B9ECE9786DFAF533341FDF87A6665CC79B6636DF06E6E87E30C1A0D369C6AE8C4CEB6A64FE02DEB1FE94');
INSERT INTO "batches" VALUES(2,'9a0d0abd2e7743bda0d0148a435a4a8b','8f7dee4cf2654f08888c35b8315d7a28',2,2,X'434D57530101000005000000000000009003000078018592BB4EC33014860D53A57229085081829058182AC4A5A820A18A2024E0111890E5244E093449B19D02656662A7631153DFA02B2312AFC102E21118B09D1ED30B88E144393EDFFF9F3F97A51DB2E6AE11DBDDA0C56261D37655BB5ED82685CD2D5220DBF63042A87C769B7E1A4248DDE76421241B94E234745783887B99AFFB3D5569461DEAD768CFE1A8C618F6882322E6AD8CB4F75565801D988C69C1B92F046538E09E5E282F13A0E81ABDDD9550EAB5944E760891F0F55D84EABB63C0B3DEF3090D5789734105C795888B63583105925FA7935AE831F9207E146AA509370DCA7FC69C3307F32B5F3867949BBDBD91E41A71FC2033A9CA823144EAF4AE21C6752CFB46508EB5F4F914215533204D664608F3592D045F25C58C088AABDC3B583EDA5795030BA0645F1BA0B27D0912C0963ED3F9FAA1AA79F031513A2EDDD02C406E5CADF88E8E927C25F3A24C9E281638F270C45CF99374C2196A118C38BD8C69E8501CC6812D4146B9FCE6865BF88B3B8F83EA0F360718A9953BBB30973BFDB0EC153F9B56E5A3691926F0C37E26FFDEB0DA278D2E865CF7334EB165BD3CB6AC6F08A62B4F');
INSERT INTO "batches" VALUES(3,'9a0d0abd2e7743bda0d0148a435a4a8b','8f7dee4cf2654f08888c35b8315d7a28',3,2,X'434D57530101000007000000000000009003000078018592BB4E02411486476D4CF082468D788BA59541C1A00931428374945A4D6677677191DDC5995914D4C2C2CA07A031D158D15BF80686DACE67B0B2D7C4D959CE08A8B1F8377BE67CFF39FF5E567748D24A12C3DAA4994C3A655861B991DE26E9D41649936D63042154AA9EC71E86101A96F74B5208C9028D72EA59EBAECFEDF8C7CD5EA818A32675EAB4EF705C610CDBC4143EB3D7C69EF2A1E2C0FEE84C2843C5118232EC725B2D94972970F4B40E2E7651E9713716ED1022E29B59849AD909E059FFF994826BC43CA682E3AACF451156CC80E5D7EEB432DA4C3E88E37BCAA9C3CD82F39F36E7CCC4FCD411E611E57A6F7F24B946143B3253A879180C91BAB5A5894915CB6808CAB1B2A24BE9939A036BD4D346E8279411E68656CC88A0B8C6EDFD97423ED4128C004AD6F51FD4FC40820830E49CD7E74621D422CCD151BA537AA104405650AB3AA68A127D25FDA2741E3F10D8B7B1CF2CF99374C3696A0506717A1250CFA4D80B5C43828C72F9CD35B7FC175709DCDA37B60018A997BBBB30973B1DAF6CDFBEDDE5AEA534E33ADE20F3FED9CA3D1DB67A187236C8B0AB76AE73DFCE7D01362A330C');
INSERT INTO "batches" VALUES(4,'8b1e5d0c2bb7421dab3e708396f8da48','8f7dee4cf2654f08888c35b8315d7a28',1,2,X'434D5753010100000E00000000000000EB02000078017591BB4E02411486175B344A2206BCC5C29A7095B5419706788AC9EE5C7091BD38338B8A8DBD899D512B8D219137A0B636B1B5D1DE181FC14467979D91402CCE6466FEEFFFCFC9CC966E157005E561D1B2AAE5620199560957F37A697787E8C82CEB094DD312C159F2416CE6C43E2D4ADC884A520CB1DDC339C76324F37DB11FD692BCA48098907B94ECCD8FEA61A5A4D2B139C714388C686F5F35EDE6B9B62C25DF84879833D0F5186F458DC492962AA122D1F6DC48263332631402766C7378809972A71876514E068B036F21610D2B2383A51A9F91221623B375CA310391F5BCA66961AD48EB585346A96767BA026A720C7C465EB79BF5CF7EB3BE2E2326BAF766A8CCD40463C012390BB97E6370DB6FACC91C354A9C320965258402BF6BC36894F15BAB8752F37801071E011E45E297E2E114B52983183E0AB00B317003C71220C54CFC9CE236FEE33A81E3FF61AB12337BEDB81760A2A7EDB6C965FADEF8F8B93314E3D8EE34F33EBA323283EB09C63C99669E1E87C64B6568FC025386FD31');
CREATE TABLE endpoints (
	run_id VARCHAR(32) NOT NULL, 
	endpoint BIGINT NOT NULL, 
	worker_id VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	group_name VARCHAR(100) NOT NULL, 
	outcome VARCHAR(32) NOT NULL, 
	report JSON NOT NULL, 
	CONSTRAINT pk_endpoints PRIMARY KEY (run_id, endpoint)
);
INSERT INTO "endpoints" VALUES('9a0d0abd2e7743bda0d0148a435a4a8b',2,'8f7dee4cf2654f08888c35b8315d7a28','refused-0001','refused','CALL_FAILED','{"run_id": "9a0d0abd2e7743bda0d0148a435a4a8b", "index": 2, "name": "refused-0001", "group": "refused", "worker": "w1", "worker_id": "", "phase": "RINGING", "outcome": "CALL_FAILED", "blame": "TARGET", "reason": "the call was answered 486 Busy Here", "registration": {"attempted": false, "succeeded": false, "status": 0, "time_ms": null, "expires_s": null}, "call": {"attempted": true, "answered": false, "direction": "outbound", "call_id": "05cd3160d285dcb426379733@aa58fbdbd422.invalid", "target": "sip:bob@127.40.30.3", "status_code": 486, "codec": "", "timing": {"time_to_trying_ms": 3.744801, "time_to_ringing_ms": 4.093094, "post_dial_delay_ms": 4.093094}}, "media": {"send": {}, "receive": {}}, "one_way": false, "silent": false, "late": false}');
INSERT INTO "endpoints" VALUES('9a0d0abd2e7743bda0d0148a435a4a8b',0,'8f7dee4cf2654f08888c35b8315d7a28','answered-0001','answered','SUCCESS','{"run_id": "9a0d0abd2e7743bda0d0148a435a4a8b", "index": 0, "name": "answered-0001", "group": "answered", "worker": "w1", "worker_id": "", "phase": "INCALL", "outcome": "SUCCESS", "blame": null, "reason": "", "registration": {"attempted": false, "succeeded": false, "status": 0, "time_ms": null, "expires_s": null}, "call": {"attempted": true, "answered": true, "direction": "outbound", "call_id": "0a3b2f6062e4a5d4ee255b78@aa58fbdbd422.invalid", "target": "sip:bob@127.40.30.2", "status_code": 200, "codec": "PCMU", "timing": {"call_duration_ms": 4001.045412, "time_to_trying_ms": 4.874657, "time_to_ringing_ms": 8.401179, "post_dial_delay_ms": 8.401179, "call_setup_time_ms": 8.735306}}, "media": {"send": {"packets_sent": 200, "bytes_sent": 32000, "packets_lost": 0, "packets_sent_rate_ps": 49.99304795425322, "bytes_sent_rate_bps": 63991.101381444125, "fraction_lost": 0.0, "r_factor": 91.52374289869486, "mos": 4.3745191561506065, "rtt_ms": 0.0152587890625, "jitter_ms": 0.0}, "receive": {"packets_received": 200, "bytes_received": 32000, "packets_lost": 0, "duplicate_packets": 0, "out_of_order_packets": 0, "sequence_number_resets": 0, "sequence_number_jumps": 0, "ssrc_switches": 0, "packets_recv_rate_ps": 49.99304795425322, "bytes_recv_rate_bps": 63991.101381444125, "fraction_lost": 0.0, "r_factor": 91.52374289869486, "mos": 4.3745191561506065, "rtt_ms": 0.0152587890625, "jitter_ms": 0.3103102487535333, "min_packet_spacing": 18.988854, "avg_packet_spacing": 19.995286120603016, "max_packet_spacing": 21.063206}}, "one_way": false, "silent": false, "late": false}');
INSERT INTO "endpoints" VALUES('9a0d0abd2e7743bda0d0148a435a4a8b',1,'8f7dee4cf2654f08888c35b8315d7a28','answered-0002','answered','SUCCESS','{"run_id": "9a0d0abd2e7743bda0d0148a435a4a8b", "index": 1, "name": "answered-0002", "group": "answered", "worker": "w1", "worker_id": "", "phase": "INCALL", "outcome": "SUCCESS", "blame": null, "reason": "", "registration": {"attempted": false, "succeeded": false, "status": 0, "time_ms": null, "expires_s": null}, "call": {"attempted": true, "answered": true, "direction": "outbound", "call_id": "22d47f2e319f993636c80cd2@aa58fbdbd422.invalid", "target": "sip:bob@127.40.30.2", "status_code": 200, "codec": "PCMU", "timing": {"call_duration_ms": 4001.673629, "time_to_trying_ms": 8.538693, "time_to_ringing_ms": 8.614029, "post_dial_delay_ms": 8.614029, "call_setup_time_ms": 8.67645}}, "media": {"send": {"packets_sent": 200, "bytes_sent": 32000, "packets_lost": 0, "packets_sent_rate_ps": 49.9883761404106, "bytes_sent_rate_bps": 63985.12145972557, "fraction_lost": 0.0, "r_factor": 91.52374289869486, "mos": 4.3745191561506065, "rtt_ms": 0.0152587890625, "jitter_ms": 0.0}, "receive": {"packets_received": 200, "bytes_received": 32000, "packets_lost": 0, "duplicate_packets": 0, "out_of_order_packets": 0, "sequence_number_resets": 0, "sequence_number_jumps": 0, "ssrc_switches": 0, "packets_recv_rate_ps": 49.9883761404106, "bytes_recv_rate_bps": 63985.12145972557, "fraction_lost": 0.0, "r_factor": 91.52374289869486, "mos": 4.3745191561506065, "rtt_ms": 0.0152587890625, "jitter_ms": 0.36744728280072236, "min_packet_spacing": 18.918807, "avg_packet_spacing": 19.99528695477387, "max_packet_spacing": 21.078507}}, "one_way": false, "silent": false, "late": false}');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	run_id VARCHAR(32) NOT NULL, 
	worker_id VARCHAR(32) NOT NULL, 
	data JSON NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id)
);
CREATE TABLE run_workers (
	run_id VARCHAR(32) NOT NULL, 
	worker_id VARCHAR(32) NOT NULL, 
	worker_name VARCHAR(100) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	session VARCHAR(64), 
	endpoints JSON NOT NULL, 
	endpoint_count INTEGER NOT NULL, 
	sealed_share BLOB, 
	targets JSON, 
	prepared JSON, 
	progress JSON, 
	done JSON, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_run_workers PRIMARY KEY (run_id, worker_id)
);
INSERT INTO "run_workers" VALUES('9a0d0abd2e7743bda0d0148a435a4a8b','8f7dee4cf2654f08888c35b8315d7a28','w1','DONE','f99a0842027907f396af4393b8974143','[[0, "answered-0001", "answered", 0], [1, "answered-0002", "answered", 1], [2, "refused-0001", "refused", 0]]',3,NULL,'{}','{"failed": 0}','{"second": 4, "by_phase": {"CLOSED": 3}, "by_outcome": {"SUCCESS": 2, "CALL_FAILED": 1}, "calls_active": 0, "calls_attempted": 3, "calls_answered": 2, "endpoints": 3}','{"generator": {"endpoints": 3, "pacing_error_us": {"scale": 6, "zero_count": 0, "offset": 287, "counts": [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 1, 2, 1, 1, 1, 3, 2, 1, 1, 5, 2, 1, 1, 2, 6, 2, 1, 5, 3, 5, 7, 3, 5, 5, 4, 3, 3, 1, 3, 4, 5, 6, 3, 5, 5, 1, 2, 1, 8, 1, 3, 3, 1, 1, 2, 8, 1, 4, 5, 5, 2, 3, 5, 1, 2, 5, 7, 3, 3, 2, 2, 1, 3, 2, 5, 1, 1, 3, 2, 2, 7, 1, 3, 2, 4, 3, 3, 1, 5, 4, 3, 2, 0, 6, 1, 4, 4, 5, 3, 4, 4, 4, 0, 2, 5, 2, 6, 4, 1, 3, 2, 5, 3, 2, 5, 2, 1, 2, 4, 2, 3, 2, 2, 2, 2, 2, 1, 3, 0, 0, 1, 1, 1, 3, 4, 2, 2, 1, 1, 0, 1, 1, 1, 1, 0, 3, 1, 1, 1, 0, 1, 1, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "sum": 29125.780000000002, "min": 22.489, "max": 1118.739}, "packets_sent": 400, "packets_received": 400, "packets_skipped": 0, "send_errors": 0, "kernel_drops": 0, "samples_dropped": 0, "loop_lag_ms": {"scale": 6, "zero_count": 186, "offset": -117, "counts": [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "sum": 96.69376199999999, "min": 0.0, "max": 41.43464}, "cpu_seconds": 0.19127399999999994, "rss_bytes": 61452288, "cpu_steal_ratio": 0.0, "scheduling": "SCHED_FIFO"}}','');
INSERT INTO "run_workers" VALUES('8b1e5d0c2bb7421dab3e708396f8da48','8f7dee4cf2654f08888c35b8315d7a28','w1','STARTED','f99a0842027907f396af4393b8974143','[[0, "answered-0001", "answered", 0], [1, "answered-0002", "answered", 1]]',2,NULL,'{}','{"failed": 0}','{"second": 1, "by_phase": {"INCALL": 2}, "by_outcome": {}, "calls_active": 2, "calls_attempted": 2, "calls_answered": 2, "endpoints": 2}',NULL,'');
CREATE TABLE runs (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	status VARCHAR(24) NOT NULL, 
	verdict VARCHAR(16), 
	reason TEXT NOT NULL, 
	"plan" JSON NOT NULL, 
	sealed_plan BLOB, 
	endpoints INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	created_at_ms BIGINT NOT NULL, 
	queued_at_ms BIGINT, 
	started_at_ms BIGINT, 
	ended_at_ms BIGINT, 
	deadline_at_ms BIGINT, 
	summary JSON, 
	CONSTRAINT pk_runs PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('9a0d0abd2e7743bda0d0148a435a4a8b','before','COMPLETED','PASSED','','{"version": 1, "name": "before", "duration": "4s", "setup_timeout": "1m", "registrars": {}, "groups": {"answered": {"endpoints": 2, "call": {"uri": "sip:bob@127.40.30.2"}, "load": {"arrivals": "all-at-once"}, "audio": {"codecs": ["PCMU", "PCMA"], "ptime": "20ms", "source": "speech", "dscp": 46}}, "refused": {"endpoints": 1, "call": {"uri": "sip:bob@127.40.30.3"}, "load": {"arrivals": "all-at-once"}, "audio": {"codecs": ["PCMU", "PCMA"], "ptime": "20ms", "source": "speech", "dscp": 46}}}, "thresholds": {"call_success": ["rate >= 0.5"]}}',NULL,3,1103523667,1795488963567,1795488963594,1795488963752,1795488967950,1795489133752,'{"schema_version": 1, "run": {"id": "9a0d0abd2e7743bda0d0148a435a4a8b", "name": "before", "status": "COMPLETED", "verdict": "PASSED", "started_at": "2026-11-24T02:56:03.752Z", "duration_s": 4.189}, "endpoints": {"total": 3, "by_outcome": {"SUCCESS": 2, "COMPLETED_WITH_WARNINGS": 0, "REGISTRATION_FAILED": 0, "CALL_FAILED": 1, "NEGOTIATION_FAILED": 0, "TIMEOUT": 0, "OSERROR": 0, "TEARDOWN_ERROR": 0}, "by_phase": {"INITIALIZING": 0, "REGISTERED": 0, "CALLING": 0, "RINGING": 1, "NEGOTIATING": 0, "INCALL": 2, "DISCONNECTING": 0, "CLOSED": 0}}, "registrations": {"attempted": 0, "succeeded": 0, "failed": 0}, "calls": {"attempted": 3, "answered": 2, "failed": 1, "by_status_code": {"200": 2, "486": 1}}, "timing": {"registration_time_ms": {"count": 0, "mean": null, "min": null, "p5": null, "p50": null, "p95": null, "p99": null, "max": null}, "time_to_trying_ms": {"count": 3, "mean": 5.71938, "min": 3.7448, "p5": 3.7448, "p50": 4.88731, "p95": 8.53869, "p99": 8.53869, "max": 8.53869}, "time_to_ringing_ms": {"count": 3, "mean": 7.0361, "min": 4.09309, "p5": 4.09309, "p50": 8.39943, "p95": 8.61403, "p99": 8.61403, "max": 8.61403}, "post_dial_delay_ms": {"count": 3, "mean": 7.0361, "min": 4.09309, "p5": 4.09309, "p50": 8.39943, "p95": 8.61403, "p99": 8.61403, "max": 8.61403}, "call_setup_time_ms": {"count": 2, "mean": 8.70588, "min": 8.67645, "p5": 8.67645, "p50": 8.67645, "p95": 8.73531, "p99": 8.73531, "max": 8.73531}, "call_duration_ms": {"count": 2, "mean": 4001.36, "min": 4001.05, "p5": 4001.05, "p50": 4001.05, "p95": 4001.67, "p99": 4001.67, "max": 4001.67}}, "media": {"send": {"mos": {"count": 4, "mean": 4.37452, "min": 4.37452, "p5": 4.37452, "p50": 4.37452, "p95": 4.37452, "p99": 4.37452, "max": 4.37452}, "r_factor": {"count": 4, "mean": 91.5237, "min": 91.5237, "p5": 91.5237, "p50": 91.5237, "p95": 91.5237, "p99": 91.5237, "max": 91.5237}, "jitter_ms": {"count": 4, "mean": 0.0, "min": 0.0, "p5": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}, "rtt_ms": {"count": 4, "mean": 0.0152588, "min": 0.0152588, "p5": 0.0152588, "p50": 0.0152588, "p95": 0.0152588, "p99": 0.0152588, "max": 0.0152588}, "packets_lost": 0, "fraction_lost": {"count": 4, "mean": 0.0, "min": 0.0, "p5": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}, "packets_sent": 400, "bytes_sent": 64000, "packets_sent_rate_ps": {"count": 6, "mean": 50.0635, "min": 49.9554, "p5": 49.9554, "p50": 50.1583, "p95": 50.2122, "p99": 50.2122, "max": 50.2122}, "bytes_sent_rate_bps": {"count": 6, "mean": 64081.3, "min": 63942.8, "p5": 63942.8, "p50": 63942.8, "p95": 64271.6, "p99": 64271.6, "max": 64271.6}}, "receive": {"mos": {"count": 6, "mean": 4.37452, "min": 4.37452, "p5": 4.37452, "p50": 4.37452, "p95": 4.37452, "p99": 4.37452, "max": 4.37452}, "r_factor": {"count": 6, "mean": 91.5238, "min": 91.5237, "p5": 91.5237, "p50": 91.5239, "p95": 91.5239, "p99": 91.5239, "max": 91.5239}, "jitter_ms": {"count": 6, "mean": 0.322062, "min": 0.246429, "p5": 0.246429, "p50": 0.298912, "p95": 0.396545, "p99": 0.396545, "max": 0.396545}, "rtt_ms": {"count": 4, "mean": 0.0152588, "min": 0.0152588, "p5": 0.0152588, "p50": 0.0152588, "p95": 0.0152588, "p99": 0.0152588, "max": 0.0152588}, "packets_lost": 0, "fraction_lost": {"count": 6, "mean": 0.0, "min": 0.0, "p5": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}, "ssrc_switches": 0, "packets_received": 400, "bytes_received": 64000, "packets_recv_rate_ps": {"count": 6, "mean": 50.0635, "min": 49.9554, "p5": 49.9554, "p50": 50.1583, "p95": 50.2122, "p99": 50.2122, "max": 50.2122}, "bytes_recv_rate_bps": {"count": 6, "mean": 64081.3, "min": 63942.8, "p5": 63942.8, "p50": 63942.8, "p95": 64271.6, "p99": 64271.6, "max": 64271.6}, "duplicate_packets": 0, "out_of_order_packets": 0, "sequence_number_resets": 0, "sequence_number_jumps": 0, "avg_packet_spacing": {"count": 6, "mean": 19.9916, "min": 19.9895, "p5": 19.9895, "p50": 19.9895, "p95": 20.0, "p99": 20.0, "max": 20.0}, "min_packet_spacing": {"count": 6, "mean": 18.9621, "min": 18.9188, "p5": 18.9188, "p50": 18.9243, "p95": 18.999, "p99": 18.999, "max": 18.999}, "max_packet_spacing": {"count": 6, "mean": 21.0567, "min": 21.027, "p5": 21.027, "p50": 21.0785, "p95": 21.0785, "p99": 21.0785, "max": 21.0785}}, "one_way_calls": 0, "silent_calls": 0}, "generator": {"valid": true, "limits": [], "pacing_error_us": {"count": 400, "mean": 72.8145, "min": 22.489, "p5": 33.2358, "p50": 60.2981, "p95": 131.511, "p99": 228.479, "max": 1118.74}, "packets_skipped": 0, "send_errors": 0, "kernel_drops": 0, "samples_dropped": 0, "loop_lag_ms": {"count": 198, "mean": 0.488352, "min": 0.0, "p5": 0.0, "p50": 0.0, "p95": 0.476209, "p99": 21.3186, "max": 41.4346}, "cpu_seconds": 0.191, "rss_bytes": 61452288, "cpu_steal_ratio": 0.0, "scheduling": ["SCHED_FIFO"]}, "thresholds": [{"metric": "call_success", "expression": "rate >= 0.5", "value": 0.666667, "passed": true, "note": ""}], "workers": [{"id": "8f7dee4cf2654f08888c35b8315d7a28", "name": "w1", "endpoints": 3}], "failures": [{"outcome": "CALL_FAILED", "blame": "TARGET", "status_code": 486, "reason": "the call was answered 486 Busy Here", "count": 1, "example": "refused-0001"}]}');
INSERT INTO "runs" VALUES('8b1e5d0c2bb7421dab3e708396f8da48','cut off','RUNNING',NULL,'','{"version": 1, "name": "cut off", "duration": "1m", "setup_timeout": "1m", "registrars": {}, "groups": {"answered": {"endpoints": 2, "call": {"uri": "sip:bob@127.40.30.2"}, "load": {"arrivals": "all-at-once"}, "audio": {"codecs": ["PCMU", "PCMA"], "ptime": "20ms", "source": "speech", "dscp": 46}}}, "thresholds": {"call_success": ["rate >= 0.5"]}}',NULL,2,801744991,1795488967964,1795488967971,1795488967979,NULL,1795489193979,NULL);
CREATE TABLE sessions (
	worker_id VARCHAR(32) NOT NULL, 
	session VARCHAR(64) NOT NULL, 
	committed_seq BIGINT NOT NULL, 
	seen_at_ms BIGINT NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (worker_id, session)
);
INSERT INTO "sessions" VALUES('8f7dee4cf2654f08888c35b8315d7a28','f99a0842027907f396af4393b8974143',15,1795488970041);
CREATE TABLE workers (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	capacity INTEGER NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	token_sha256 VARCHAR(64) NOT NULL, 
	token_prefix VARCHAR(12) NOT NULL, 
	created_at_ms BIGINT NOT NULL, 
	last_seen_at_ms BIGINT, 
	hello JSON, 
	CONSTRAINT pk_workers PRIMARY KEY (id), 
	CONSTRAINT uq_workers_name UNIQUE (name), 
	CONSTRAINT uq_workers_token_sha256 UNIQUE (token_sha256)
);
INSERT INTO "workers" VALUES('8f7dee4cf2654f08888c35b8315d7a28','w1',100,1,'ae54184d889df5a5f592e42f180f39c97b1c5b44a95b8ab5c50cbf14677ad520','cmw_54a76d41',1795488962921,1795488963559,'{"protocol": 1, "session": "f99a0842027907f396af4393b8974143", "name": null, "version": "0.1.0", "host": "lab", "capacity": 5000, "sip_ip": "127.40.30.1", "media_ip": "127.40.30.1", "engine": "compiled", "draining": false, "dropped_samples": 0, "dropped_reports": 0}');
CREATE INDEX ix_runs_status ON runs (status);
CREATE INDEX ix_batches_run_id ON batches (run_id);
CREATE INDEX ix_events_run_id ON events (run_id);
COMMIT;
