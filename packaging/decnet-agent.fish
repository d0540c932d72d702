# Completions of decnet-agent for fish, as "decnet-agent print completion fish" prints them: a file
# named decnet-agent.fish in /etc/fish/completions, or in ~/.config/fish/completions.

# Whether the command on the line is one of these; '' is none yet.
function __decnet_agent_command
    set -l command ''
    set -l is_value no
    for word in (commandline -opc)
        if test $is_value = yes
            set is_value no
        else if contains -- $word --hash --config --master-host --swarmctl-port --master-name --master-fingerprint --host-uuid --agent-dir --state-dir --docker-host --interval --network-prefix --container-prefix --base-image --service-image --listen --allowed-cn --supersede --textfile
            set is_value yes
        else if contains -- $word state doctor apply teardown hash print --once
            set command $word
            break
        end
    end
    contains -- "$command" $argv
end

# Whether the command is print, and the word before the cursor this one.
function __decnet_agent_print
    set -l words (commandline -opc)
    __decnet_agent_command print; and test "$words[-1]" = $argv[1]
end

complete -c decnet-agent -f
complete -c decnet-agent -n "__decnet_agent_command ''" -a state -d 'what is applied, what runs, and how the two differ'
complete -c decnet-agent -n "__decnet_agent_command ''" -a doctor -d 'what is wrong on this host, and the one command that mends it'
complete -c decnet-agent -n "__decnet_agent_command ''" -a apply -d 'make Docker as a topology document says, and tell the master'
complete -c decnet-agent -n "__decnet_agent_command ''" -a teardown -d 'remove all of a topology from Docker and the store'
complete -c decnet-agent -n "__decnet_agent_command ''" -a hash -d 'the version hash of a topology document'
complete -c decnet-agent -n "__decnet_agent_command ''" -a print -d 'a file for this host, made for this executable'
complete -c decnet-agent -n '__decnet_agent_print print' -a systemd-service -d 'the unit of the loop'
complete -c decnet-agent -n '__decnet_agent_print print' -a systemd-timer -d 'a timer and its service, for --once'
complete -c decnet-agent -n '__decnet_agent_print print' -a cron -d 'a line for cron, for --once'
complete -c decnet-agent -n '__decnet_agent_print print' -a config -d 'an ini file with every key'
complete -c decnet-agent -n '__decnet_agent_print print' -a man -d 'the man page'
complete -c decnet-agent -n '__decnet_agent_print print' -a completion -d 'completions, for bash, zsh or fish'
complete -c decnet-agent -n '__decnet_agent_print completion' -a 'bash zsh fish'
complete -c decnet-agent -n '__decnet_agent_command apply hash' -F
complete -c decnet-agent -n "__decnet_agent_command '' --once" -l once -d 'one beat, then exit: the health check'
complete -c decnet-agent -n "__decnet_agent_command '' --once state doctor apply teardown hash --version" -l json -d 'print JSON'
complete -c decnet-agent -n "__decnet_agent_command '' --once" -l quiet -d 'print nothing when all is well'
complete -c decnet-agent -n "__decnet_agent_command '' --once apply" -l dry-run -d 'do not send the beat; print what an apply would change, and change nothing'
complete -c decnet-agent -n "__decnet_agent_command '' apply" -l stored -d 'instead of FILE: apply once more the document that the store holds'
complete -c decnet-agent -n "__decnet_agent_command '' apply" -l hash -x -d 'refuse a document that has another version hash'
complete -c decnet-agent -n "__decnet_agent_command '' apply teardown" -l no-wait -d 'refuse when another one is under way'
complete -c decnet-agent -l config -r -F -d 'another ini file than /etc/decnet/decnet.ini; section [agent]'
complete -c decnet-agent -l version -d 'versions of the agent, Deno and SQLite'
complete -c decnet-agent -l help -d 'this text; with a command, what concerns that one'
complete -c decnet-agent -l master-host -x -d 'the master to report to'
complete -c decnet-agent -l swarmctl-port -x -d 'the master\'s port'
complete -c decnet-agent -l master-name -x -d 'the name that the master\'s certificate must bear'
complete -c decnet-agent -l master-fingerprint -x -d 'SHA-256 of the master\'s certificate; no other is accepted'
complete -c decnet-agent -l host-uuid -x -d 'this host\'s id at the master; required with master-host'
complete -c decnet-agent -l agent-dir -x -a '(__fish_complete_directories)' -d 'the folder of ca.crt, worker.crt and worker.key'
complete -c decnet-agent -l state-dir -x -a '(__fish_complete_directories)' -d 'the folder of topology.db'
complete -c decnet-agent -l docker-host -x -d 'the engine\'s socket'
complete -c decnet-agent -l interval -x -d 'the time between two beats'
complete -c decnet-agent -l network-prefix -x -d 'how the names of our networks begin'
complete -c decnet-agent -l container-prefix -x -d 'how the names of our containers begin'
complete -c decnet-agent -l base-image -x -d 'the image of the containers that hold a decky\'s network'
complete -c decnet-agent -l service-image -x -d 'the image of services, {service} in it standing for the service\'s name; SERVICE=IMAGE after a comma for a service of its own'
complete -c decnet-agent -l listen -x -d 'where the master may push topologies to, over mutual TLS'
complete -c decnet-agent -l allowed-cn -x -d 'whose certificates may push, by their common names'
complete -c decnet-agent -l supersede -x -a 'true false' -d 'whether another topology is torn down when one is applied, instead of a refusal'
complete -c decnet-agent -l textfile -r -F -d 'where metrics for Prometheus go after each beat: a file NAME.prom in the folder that the textfile collector of node_exporter reads'
