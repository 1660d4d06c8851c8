"""What an attacker would try: the claims of the README's section on security, one by one."""
