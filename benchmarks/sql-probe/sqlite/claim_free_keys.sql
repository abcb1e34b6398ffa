-- Second half of a claim, same transaction: keys held until started. Only when a claimed row has a unique_key.
delete from unique_key where hold = 1 and (key, job_id) in (
    select unique_key, id from job where state = 1 and claim_id = :claim_id and unique_key is not null);
